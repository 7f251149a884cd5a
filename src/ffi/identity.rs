//! Who is behind the account: a person, a company.

use super::client::kl_client;
use super::error::kl_error;
use super::handle::{Handle, HandleKind};
use super::text::Arena;
use super::{end, give, look};
use crate::status::kl_status;
use std::ffi::c_char;

/// A person. Opaque.
pub struct kl_user {
    _private: [u8; 0],
}

/// A company. Opaque.
pub struct kl_company {
    _private: [u8; 0],
}

/// A person, as the platform knows them. Lives as long as its `kl_user`; texts are never NULL.
#[repr(C)]
pub struct kl_user_info {
    /// The name they log in with.
    pub username: *const c_char,
    /// Their name.
    pub name: *const c_char,
    /// As the platform numbers it.
    pub sex: *const c_char,
    /// The phone number.
    pub phone: *const c_char,
    /// The address of a picture.
    pub avatar_url: *const c_char,
    /// The platform's own record: JSON, or XML if the account speaks XML.
    pub raw: *const c_char,
    /// When the account was made, Unix seconds; 0 if unknown.
    pub created_at: i64,
    /// The platform's time, Unix seconds; 0 if unknown.
    pub now: i64,
    /// Whether they administer the company: 1, 0, or -1 if unknown.
    pub is_admin: i32,
}

/// A company, as the platform knows it. Lives as long as its `kl_company`; texts are never NULL.
#[repr(C)]
pub struct kl_company_info {
    /// The name.
    pub name: *const c_char,
    /// As the platform numbers it.
    pub kind: *const c_char,
    /// The tax number.
    pub tax_number: *const c_char,
    /// Province, city, zone and street.
    pub address: *const c_char,
    /// The phone number.
    pub phone: *const c_char,
    /// Its legal representative.
    pub legal_person: *const c_char,
    /// Their phone number.
    pub legal_person_phone: *const c_char,
    /// The platform's own record: JSON, or XML if the account speaks XML.
    pub raw: *const c_char,
    /// When the account was made, Unix seconds; 0 if unknown.
    pub created_at: i64,
    /// The platform's time, Unix seconds; 0 if unknown.
    pub now: i64,
}

pub(super) struct Kept<I> {
    info: I,
    _texts: Arena,
}

// SAFETY: the pointers lead into the arena beside them, which is never changed again.
unsafe impl<I> Send for Kept<I> {}
// SAFETY: the pointers lead into the arena beside them, which is never changed again, so any thread may read through them.
unsafe impl<I> Sync for Kept<I> {}

impl Handle for kl_user {
    const KIND: HandleKind = HandleKind::User;
    type Held = Kept<kl_user_info>;
}
impl Handle for kl_company {
    const KIND: HandleKind = HandleKind::Company;
    type Held = Kept<kl_company_info>;
}

/// The person behind the account (Zhiyun: `userService/getUserInfo`). Tried again inside `timeout_ms` when the network
/// fails. End the result with `kl_user_free`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_user_get(
    client: *mut kl_client,
    out: *mut *mut kl_user,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        let user = client.user_get()?;
        let mut texts = Arena::default();
        let info = kl_user_info {
            username: texts.keep(&user.username),
            name: texts.keep(&user.name),
            sex: texts.keep(&user.sex),
            phone: texts.keep(&user.phone),
            avatar_url: texts.keep(&user.avatar_url),
            raw: texts.keep(&user.raw),
            created_at: user.created_at,
            now: user.now,
            is_admin: user.is_admin as i32,
        };
        Ok(Kept { info, _texts: texts })
    })
}

/// What is known of a person. Borrowed from it; NULL if this is no user.
#[unsafe(no_mangle)]
pub extern "C" fn kl_user_view(user: *const kl_user) -> *const kl_user_info {
    look(user, std::ptr::null(), |held| &raw const held.info)
}

/// Frees a user. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_user_free(user: *mut kl_user) {
    end(user);
}

/// The company behind the account (Zhiyun: `companyService/getCompanyInfo`). Tried again inside `timeout_ms` when the
/// network fails. End the result with `kl_company_free`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_company_get(
    client: *mut kl_client,
    out: *mut *mut kl_company,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        let company = client.company_get()?;
        let mut texts = Arena::default();
        let info = kl_company_info {
            name: texts.keep(&company.name),
            kind: texts.keep(&company.kind),
            tax_number: texts.keep(&company.tax_number),
            address: texts.keep(&company.address),
            phone: texts.keep(&company.phone),
            legal_person: texts.keep(&company.legal_person),
            legal_person_phone: texts.keep(&company.legal_person_phone),
            raw: texts.keep(&company.raw),
            created_at: company.created_at,
            now: company.now,
        };
        Ok(Kept { info, _texts: texts })
    })
}

/// What is known of a company. Borrowed from it; NULL if this is no company.
#[unsafe(no_mangle)]
pub extern "C" fn kl_company_view(company: *const kl_company) -> *const kl_company_info {
    look(company, std::ptr::null(), |held| &raw const held.info)
}

/// Frees a company. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_company_free(company: *mut kl_company) {
    end(company);
}
