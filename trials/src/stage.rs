//! A simulator with what a program needs to find its way to it.

use kiosklink::client::Client;
use kiosklink::config::Config;
use kiosklink::model::{CodeCreate, OrderCreate};
use kiosklink_sim::{Options, Simulator};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The pickup code of an order in the simulator's Youzan shop that nobody has fetched.
const YOUZAN_CODE: &str = "10000000001";

/// A simulator and a folder with its accounts.
pub struct Stage {
    /// The simulator.
    pub sim: Simulator,
    /// The folder.
    pub folder: PathBuf,
}

/// How often each thing happened that must happen once: a door or a lane moved, a code was redeemed.
pub type Acts = BTreeMap<String, u64>;

impl Stage {
    /// A stage in a folder of its own, which must exist.
    pub fn new(folder: &Path, seed: u64) -> Result<Stage, String> {
        let sim = Simulator::start(Options { seed, ..Options::default() }).map_err(|e| e.to_string())?;
        fs::write(folder.join("ca.pem"), sim.ca_pem()).map_err(|e| e.to_string())?;
        Ok(Stage { sim, folder: folder.to_owned() })
    }

    /// A control call that must succeed.
    pub fn control(&self, method: &str, path: &str, body: Value) -> Result<Value, String> {
        match self.sim.control(method, path, body) {
            (200, answer) => Ok(answer),
            (status, answer) => Err(format!("{method} {path}: {status} {answer}")),
        }
    }

    /// Writes the accounts file. `keys` are laid over every account.
    pub fn accounts(&self, keys: &[(&str, Value)]) -> Result<PathBuf, String> {
        let mut all = self.sim.accounts(&self.folder.join("ca.pem").to_string_lossy());
        if let Some(accounts) = all["accounts"].as_object_mut() {
            for account in accounts.values_mut() {
                for (key, value) in keys {
                    account[*key] = value.clone();
                }
            }
        }
        let path = self.folder.join("accounts.json");
        fs::write(&path, format!("{all:#}\n")).map_err(|e| e.to_string())?;
        Ok(path)
    }

    /// A pickup code that can be used, of an account.
    pub fn new_code(&self, accounts: &Path, account: &str, cabinet: &str) -> Result<String, String> {
        let words = |e: kiosklink::error::Error| e.message().to_owned();
        let mut config = Config::load(&accounts.to_string_lossy(), Some(account)).map_err(words)?;
        if config.platform().name() == "youzan" {
            return Ok(YOUZAN_CODE.into());
        }
        config.set("timeout_ms", "10000").map_err(words)?;
        let client = Client::new(&config).map_err(words)?;
        let stock = client.stock(cabinet, 0, None).collect_all().map_err(words)?;
        let item = stock.iter().find(|i| i.stock > 0).ok_or("the machine is empty")?;
        let request = CodeCreate {
            cabinet_id: cabinet.into(),
            product_id: item.id.clone(),
            count: 1,
            ..CodeCreate::default()
        };
        let made = client.code_create(&request).map_err(words);
        client.close();
        made?.first().map(|c| c.code.clone()).ok_or_else(|| "no code was made".into())
    }

    /// The number of an order at Dingshang that nobody has paid.
    pub fn new_order(&self, accounts: &Path, account: &str, cabinet: &str) -> Result<String, String> {
        let words = |e: kiosklink::error::Error| e.message().to_owned();
        let mut config = Config::load(&accounts.to_string_lossy(), Some(account)).map_err(words)?;
        for (key, value) in [("timeout_ms", "10000"), ("state_dir", "none")] {
            config.set(key, value).map_err(words)?;
        }
        let client = Client::new(&config).map_err(words)?;
        let stock = client.stock(cabinet, 0, None).collect_all().map_err(words)?;
        let item = stock.iter().find(|i| i.stock > 0).ok_or("the machine is empty")?;
        let request = OrderCreate {
            cabinet_id: cabinet.into(),
            notify_url: "http://127.0.0.1:9/".into(),
            lines: vec![(item.id.clone(), 1)],
            ..OrderCreate::default()
        };
        let made = client.order_create(&request).map_err(words);
        client.close();
        made.map(|order| order.order_no)
    }

    /// Waits until everything that was sent has been read, as it is long before a machine has started again.
    pub fn settle(&self) -> Result<(), String> {
        let body = json!({"for": "connections", "count": 0, "timeout_ms": 10_000});
        self.control("POST", "/_sim/wait", body).map(drop)
    }

    /// How often each order was reported as paid: reports that took effect, and Dingshang's later ones, which it refuses.
    pub fn payments(&self) -> Result<Acts, String> {
        let mut payments = Acts::new();
        for act in list(&self.control("GET", "/_sim/acts?kind=pay&by=request", Value::Null)?) {
            let order = act["order"].as_str().unwrap_or_default();
            let log = format!("/_sim/requests?method=order_update&acted=true&since={}", act["request"]);
            let later = self.control("GET", &log, Value::Null)?;
            let again = |request: &&Value| {
                let of = request["path"].as_str().and_then(|path| path.rsplit('/').next()) == Some(order);
                of && int(&request["params"]["status"]) == Some(1)
            };
            let reports = 1 + list(&later).iter().filter(again).count() as u64;
            *payments.entry(order.to_owned()).or_default() += reports;
        }
        Ok(payments)
    }

    /// What has happened, by the simulator's own record.
    pub fn acts(&self) -> Result<Acts, String> {
        let mut acts = Acts::new();
        let mut count = |what: String| *acts.entry(what).or_default() += 1;
        for opening in list(&self.control("GET", "/_sim/openings", Value::Null)?) {
            let door = opening["lane"].as_str().map_or_else(|| opening["door"].to_string(), str::to_owned);
            count(format!("door {door} of {}", opening["cabinet"].as_str().unwrap_or_default()));
        }
        for order in list(&self.control("GET", "/_sim/dingshang/orders", Value::Null)?) {
            if !order["pickup_code_id"].is_null() {
                count(format!("code row {} of dingshang", order["pickup_code_id"]));
            }
        }
        for redemption in list(&self.control("GET", "/_sim/youzan/redemptions", Value::Null)?) {
            count(format!("code {} of youzan", redemption["code"].as_str().unwrap_or_default()));
        }
        Ok(acts)
    }
}

/// A number, be it written as one or as a text.
fn int(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The members of a list, wherever it is a list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
