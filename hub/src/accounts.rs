//! The accounts of the file, each with a client of the library. Their secrets stay here.

use crate::ledger::Records;
use crate::store::Store;
use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink::model::Verb;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// One account.
pub struct Account {
    /// Its name in the file.
    pub name: String,
    /// What speaks with its platform.
    pub client: Client,
    /// The records of its commands.
    pub records: Arc<Records>,
    /// Its platform sends callbacks.
    pub calls_back: bool,
    /// What its callbacks come to, behind the address of the hub. Where a platform signs nothing, the path is the secret.
    pub path: String,
}

/// The names in an accounts file.
pub fn names(file: &Path) -> Result<Vec<String>, String> {
    let shown = file.display();
    let text = std::fs::read(file).map_err(|e| format!("{shown}: {e}"))?;
    // The reason may quote what is in the file: it is not told.
    let all: serde_json::Value =
        serde_json::from_slice(&text).map_err(|e| format!("{shown}: no JSON, line {}", e.line()))?;
    let accounts = all["accounts"].as_object().ok_or_else(|| format!("{shown}: it has no \"accounts\""))?;
    let good = |n: &String| {
        !n.is_empty() && n.len() <= 64 && n.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    match accounts.keys().find(|n| !good(n)) {
        Some(bad) => Err(format!("{shown}: account {bad:.64}: a name has letters, digits, '-', '_' and '.'")),
        None => Ok(accounts.keys().cloned().collect()),
    }
}

fn unguessable(store: &Arc<dyn Store>, account: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &store.secret());
    crate::hex(&ring::hmac::sign(&key, ["callback\0", account].concat().as_bytes()).as_ref()[..16])
}

/// All accounts of the file.
pub fn load(file: &Path, data: &Path, store: &Arc<dyn Store>) -> Result<BTreeMap<String, Account>, String> {
    let mut all = BTreeMap::new();
    // Tokens of platforms are kept beside the database.
    let tokens = data.join("tokens");
    std::fs::create_dir_all(&tokens).map_err(|e| format!("{}: {e}", tokens.display()))?;
    for name in names(file)? {
        let shown = |e: kiosklink::error::Error| format!("account {name}: {}", e.message());
        let mut config = Config::load(&file.to_string_lossy(), Some(&name)).map_err(shown)?;
        config.set("state_dir", &tokens.to_string_lossy()).map_err(shown)?;
        // The policy of each device counts the tries.
        config.set("code_tries_per_minute", "0").map_err(shown)?;
        let records = Records::new(&name, store.clone());
        let client = Client::with_ledger(&config, records.clone()).map_err(shown)?;
        let calls_back = client.can(Verb::EventParse);
        let path = match client.signs_events() {
            true => ["/callback/", &name].concat(),
            false => ["/callback/", &name, "/", &unguessable(store, &name)].concat(),
        };
        all.insert(name.clone(), Account { name, client, records, calls_back, path });
    }
    Ok(all)
}
