//! What can be read: cabinets, stock, orders; as whole lists, single pages, or one item after the other.

use super::client::kl_client;
use super::command::kl_command_info;
use super::error::kl_error;
use super::handle::{self, Handle, HandleKind, Thing};
use super::text::{self, Arena, caller_struct};
use super::{Kind, Out, end, give, internal, look, through_client};
use crate::client::{Client, Pages, Record};
use crate::command::Command;
use crate::error::{Error, Result};
use crate::model::*;
use crate::status::*;
use std::any::Any;
use std::ffi::{c_char, c_void};
use std::sync::{Mutex, PoisonError};

/// Whether a cabinet sells: `KL_SALE_STATE_*`.
pub type kl_sale_state = i32;

/// The platform does not say.
pub const KL_SALE_STATE_UNKNOWN: kl_sale_state = 0;
/// It sells.
pub const KL_SALE_STATE_SELLING: kl_sale_state = 1;
/// It was stopped.
pub const KL_SALE_STATE_STOPPED: kl_sale_state = 2;
/// It is still to be deployed.
pub const KL_SALE_STATE_TO_BE_DEPLOYED: kl_sale_state = 3;

/// Which kind of machine an order is of: `KL_ORDER_KIND_*`.
pub type kl_order_kind = i32;

/// Orders of cabinets with doors.
pub const KL_ORDER_KIND_CABINET: kl_order_kind = 0;
/// Orders of vending machines that push the goods out.
pub const KL_ORDER_KIND_VENDING: kl_order_kind = 1;

/// Whether an order is paid: `KL_PAYMENT_STATE_*`.
pub type kl_payment_state = i32;

/// The platform does not say.
pub const KL_PAYMENT_STATE_UNKNOWN: kl_payment_state = 0;
/// Not paid yet.
pub const KL_PAYMENT_STATE_UNPAID: kl_payment_state = 1;
/// Paid.
pub const KL_PAYMENT_STATE_PAID: kl_payment_state = 2;
/// The payment failed.
pub const KL_PAYMENT_STATE_FAILED: kl_payment_state = 3;

/// How far a customer's visit is, as the platform sees it: `KL_SERVICE_STATE_*`.
pub type kl_service_state = i32;

/// The platform does not say.
pub const KL_SERVICE_STATE_UNKNOWN: kl_service_state = 0;
/// The visit has not begun.
pub const KL_SERVICE_STATE_NOT_STARTED: kl_service_state = 1;
/// A visit is in progress.
pub const KL_SERVICE_STATE_IN_SERVICE: kl_service_state = 2;
/// The visit is over.
pub const KL_SERVICE_STATE_ENDED: kl_service_state = 3;

/// What is known of a door: `KL_DOOR_STATE_*`.
pub type kl_door_state = i32;

/// The platform does not say.
pub const KL_DOOR_STATE_UNKNOWN: kl_door_state = 0;
/// The door is open.
pub const KL_DOOR_STATE_OPEN: kl_door_state = 1;
/// The door was open and is shut.
pub const KL_DOOR_STATE_SHUT: kl_door_state = 2;
/// The door never opened.
pub const KL_DOOR_STATE_NEVER_OPENED: kl_door_state = 3;

/// What became of goods that a machine pushes out: `KL_DELIVERY_STATE_*`.
pub type kl_delivery_state = i32;

/// The platform does not say.
pub const KL_DELIVERY_STATE_UNKNOWN: kl_delivery_state = 0;
/// The machine is to push the goods out.
pub const KL_DELIVERY_STATE_PENDING: kl_delivery_state = 1;
/// The goods came out.
pub const KL_DELIVERY_STATE_DELIVERED: kl_delivery_state = 2;
/// The goods did not come out.
pub const KL_DELIVERY_STATE_FAILED: kl_delivery_state = 3;
/// The goods wait to be picked up.
pub const KL_DELIVERY_STATE_AWAITING_PICKUP: kl_delivery_state = 4;
/// There were no goods; they are owed.
pub const KL_DELIVERY_STATE_OUT_OF_STOCK: kl_delivery_state = 5;

/// A cabinet, locker or vending machine. Texts are never NULL, and empty where the platform does not say.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_cabinet {
    /// The id that the other calls take.
    pub id: *const c_char,
    /// Its name.
    pub name: *const c_char,
    /// The id of the device inside.
    pub device_code: *const c_char,
    /// The production code.
    pub code: *const c_char,
    /// Its address, from province to street.
    pub address: *const c_char,
    /// The platform's own record as JSON.
    pub json: *const c_char,
    /// Degrees in the platform's own system (Yopoint: Baidu); both 0 if unknown.
    pub longitude: f64,
    /// See `longitude`.
    pub latitude: f64,
    /// Whether the platform can reach it: 1, 0, or -1 if unknown.
    pub online: i32,
    /// Whether it sells: `KL_SALE_STATE_*`.
    pub sale: kl_sale_state,
    /// How many doors; -1 if unknown.
    pub door_count: i32,
}

/// One kind of goods in one cabinet. Texts are never NULL, and empty where the platform does not say.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_stock_item {
    /// The cabinet.
    pub cabinet_id: *const c_char,
    /// The platform's id of the goods in this cabinet.
    pub id: *const c_char,
    /// The provider's product id.
    pub product_id: *const c_char,
    /// The bar code.
    pub barcode: *const c_char,
    /// The name.
    pub name: *const c_char,
    /// The address of a picture.
    pub image_url: *const c_char,
    /// The lanes that hold it, `row-column` separated by commas (Dingshang: the lane's name, `A21`, which is the `door` of
    /// `kl_door_open`).
    pub lanes: *const c_char,
    /// The platform's own record as JSON.
    pub json: *const c_char,
    /// The price of one, in fen; -1 if unknown.
    pub price: i64,
    /// When it was put on the shelf, Unix seconds; 0 if unknown.
    pub shelved_at: i64,
    /// How many there are; -1 if unknown.
    pub stock: i32,
    /// How many fit; -1 if unknown.
    pub capacity: i32,
    /// How many were sold; -1 if unknown.
    pub sold: i32,
}

/// Goods in an order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_order_line {
    /// The bar code.
    pub barcode: *const c_char,
    /// The name.
    pub name: *const c_char,
    /// The price of one, in fen; -1 if unknown.
    pub price: i64,
    /// The price of all, in fen; -1 if unknown.
    pub total: i64,
    /// How many; -1 if unknown.
    pub quantity: i32,
    /// What became of it: `KL_DELIVERY_STATE_*`.
    pub delivery: kl_delivery_state,
    /// The platform's number of this item, by which it is dispensed (Dingshang: `record_id`, the `item_no` of
    /// `kl_door_open`).
    pub item_no: *const c_char,
    /// The platform's id of the goods in this cabinet.
    pub product_id: *const c_char,
    /// What became of it in the platform's own word.
    pub state_text: *const c_char,
}

/// A purchase. Texts are never NULL, and empty where the platform does not say.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_order {
    /// The platform's number (Yopoint: `ReceiptNo`).
    pub order_no: *const c_char,
    /// The payment channel's or your own number.
    pub trade_no: *const c_char,
    /// The cabinet or machine.
    pub cabinet_id: *const c_char,
    /// The platform's id of the customer.
    pub user_id: *const c_char,
    /// The payment channel's id of the customer.
    pub open_id: *const c_char,
    /// Why a delivery failed, in the platform's message.
    pub delivery_error: *const c_char,
    /// Why a refund was asked for, as the platform names it.
    pub refund_reason: *const c_char,
    /// The platform's own record as JSON.
    pub json: *const c_char,
    /// The goods, a pointer to each; NULL if `line_count` is 0.
    pub lines: *const *const kl_order_line,
    /// The goods that went back, a pointer to each; NULL if `refunded_line_count` is 0.
    pub refunded_lines: *const *const kl_order_line,
    /// How many lines.
    pub line_count: usize,
    /// How many refunded lines.
    pub refunded_line_count: usize,
    /// The sum, in fen; -1 if unknown.
    pub amount: i64,
    /// What went back, in fen.
    pub refunded: i64,
    /// When it was made, Unix seconds; 0 if unknown.
    pub created_at: i64,
    /// When it was paid, Unix seconds; 0 if not, or unknown.
    pub paid_at: i64,
    /// When a refund was asked for, Unix seconds; 0 if not, or unknown.
    pub refund_at: i64,
    /// Which kind of machine it is of: `KL_ORDER_KIND_*`.
    pub kind: kl_order_kind,
    /// Whether it is paid: `KL_PAYMENT_STATE_*`.
    pub payment: kl_payment_state,
    /// How it was paid, as the platform numbers it; -1 if unknown.
    pub pay_type: i32,
    /// How far the visit is: `KL_SERVICE_STATE_*`.
    pub service: kl_service_state,
    /// The door: `KL_DOOR_STATE_*`.
    pub door: kl_door_state,
    /// What became of the goods, where they are pushed out: `KL_DELIVERY_STATE_*`.
    pub delivery: kl_delivery_state,
    /// The platform marked it for review: 1, 0, or -1 if unknown.
    pub suspicious: i32,
    /// The refund the customer asked for, as the platform numbers it; 0 for none.
    pub refund_state: i32,
    /// The order's state in the platform's own word (Dingshang: `SUCCESS`, `PICKUPCODE`, `NOTPAY`, …).
    pub state_text: *const c_char,
}

/// Which page of a list: `kl_page p = KL_PAGE_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_page {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// From 1.
    pub number: u32,
    /// Items a page; 0 for the most that the platform documents (Yopoint: 100), or its own default (Dingshang: 10).
    pub size: u32,
}

/// Which orders: `kl_order_query q = KL_ORDER_QUERY_INIT;`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_order_query {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// `KL_ORDER_KIND_CABINET` or `KL_ORDER_KIND_VENDING`.
    pub kind: kl_order_kind,
    /// From this time on, Unix seconds.
    pub from: i64,
    /// To this time, Unix seconds, itself included.
    pub to: i64,
    /// More parameters for the platform, a JSON object; may be NULL.
    pub extra_json: *const c_char,
}

/// Which order: `kl_order_ref r = KL_ORDER_REF_INIT;`. At least one of the two numbers must be there.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kl_order_ref {
    /// `sizeof` this struct.
    pub struct_size: u32,
    /// `KL_ORDER_KIND_CABINET` or `KL_ORDER_KIND_VENDING`.
    pub kind: kl_order_kind,
    /// The platform's number; may be NULL.
    pub order_no: *const c_char,
    /// The payment channel's or your own number; may be NULL.
    pub trade_no: *const c_char,
    /// The cabinet, where the platform asks for it (Dingshang); may be NULL.
    pub cabinet_id: *const c_char,
    /// More parameters for the platform, a JSON object; may be NULL.
    pub extra_json: *const c_char,
}

caller_struct!(kl_page { struct_size, number, size });
caller_struct!(kl_order_query { struct_size, kind, from, to, extra_json });
caller_struct!(kl_order_ref { struct_size, kind, order_no, trade_no, cabinet_id, extra_json });

/// A list of cabinets. Opaque.
pub struct kl_cabinets {
    _private: [u8; 0],
}

/// A list of goods. Opaque.
pub struct kl_stock {
    _private: [u8; 0],
}

/// A list of orders. Opaque.
pub struct kl_orders {
    _private: [u8; 0],
}

/// Cabinets, one after the other. Opaque; one thread at a time.
pub struct kl_cabinet_iter {
    _private: [u8; 0],
}

/// Goods, one after the other. Opaque; one thread at a time.
pub struct kl_stock_iter {
    _private: [u8; 0],
}

/// Orders, one after the other. Opaque; one thread at a time.
pub struct kl_order_iter {
    _private: [u8; 0],
}

/// What the pointers of shown items lead to.
#[derive(Default)]
pub(super) struct Kept {
    texts: Arena,
    lines: Vec<Box<[kl_order_line]>>,
    // Boxed, because what points to an order must outlive the growth of this list.
    #[allow(clippy::vec_box)]
    orders: Vec<Box<kl_order>>,
    commands: Vec<Box<[kl_command_info]>>,
    pointers: Vec<Box<[*const c_void]>>,
}

impl Kept {
    /// One with room for as much as a command's result usually holds.
    pub(super) fn reserved() -> Result<Kept> {
        Ok(Kept { texts: Arena::reserved()?, ..Kept::default() })
    }

    pub(super) fn text(&mut self, text: &str) -> *const c_char {
        self.texts.keep(text)
    }

    pub(super) fn order(&mut self, order: Option<&Order>) -> *const kl_order {
        let Some(order) = order else { return std::ptr::null() };
        let shown = Box::new(order.show(self));
        self.orders.push(shown);
        self.orders.last().map_or(std::ptr::null(), |o| &raw const **o)
    }

    pub(super) fn commands(&mut self, commands: &[Command]) -> *const *const kl_command_info {
        let shown: Box<[kl_command_info]> = commands.iter().map(|c| c.show(self)).collect();
        let first = self.each(&shown);
        self.commands.push(shown);
        first
    }

    /// Where a pointer to each of them stands: what C counts through stays right when the struct behind it grows.
    fn each<T>(&mut self, shown: &[T]) -> *const *const T {
        let pointers: Box<[*const c_void]> = shown.iter().map(|item| (&raw const *item).cast()).collect();
        let first = pointers.as_ptr();
        self.pointers.push(pointers);
        first.cast()
    }

    pub(super) fn lines(&mut self, lines: &[OrderLine]) -> *const *const kl_order_line {
        if lines.is_empty() {
            return std::ptr::null();
        }
        let shown: Box<[kl_order_line]> = lines
            .iter()
            .map(|l| kl_order_line {
                barcode: self.texts.keep(&l.barcode),
                name: self.texts.keep(&l.name),
                price: l.price,
                total: l.total,
                quantity: l.quantity,
                delivery: l.delivery as i32,
                item_no: self.texts.keep(&l.item_no),
                product_id: self.texts.keep(&l.product_id),
                state_text: self.texts.keep(&l.state_text),
            })
            .collect();
        let first = self.each(&shown);
        self.lines.push(shown);
        first
    }
}

/// A model item that C can be shown.
pub(super) trait Show: Record + Send + 'static {
    type Shown: Any;
    fn show(&self, kept: &mut Kept) -> Self::Shown;
}

impl Show for Cabinet {
    type Shown = kl_cabinet;
    fn show(&self, kept: &mut Kept) -> kl_cabinet {
        kl_cabinet {
            id: kept.text(&self.id),
            name: kept.text(&self.name),
            device_code: kept.text(&self.device_code),
            code: kept.text(&self.code),
            address: kept.text(&self.address),
            json: kept.text(&self.json),
            longitude: self.longitude,
            latitude: self.latitude,
            online: self.online as i32,
            sale: self.sale as i32,
            door_count: self.door_count,
        }
    }
}

impl Show for StockItem {
    type Shown = kl_stock_item;
    fn show(&self, kept: &mut Kept) -> kl_stock_item {
        kl_stock_item {
            cabinet_id: kept.text(&self.cabinet_id),
            id: kept.text(&self.id),
            product_id: kept.text(&self.product_id),
            barcode: kept.text(&self.barcode),
            name: kept.text(&self.name),
            image_url: kept.text(&self.image_url),
            lanes: kept.text(&self.lanes),
            json: kept.text(&self.json),
            price: self.price,
            shelved_at: self.shelved_at,
            stock: self.stock,
            capacity: self.capacity,
            sold: self.sold,
        }
    }
}

impl Show for Order {
    type Shown = kl_order;
    fn show(&self, kept: &mut Kept) -> kl_order {
        kl_order {
            order_no: kept.text(&self.order_no),
            trade_no: kept.text(&self.trade_no),
            cabinet_id: kept.text(&self.cabinet_id),
            user_id: kept.text(&self.user_id),
            open_id: kept.text(&self.open_id),
            delivery_error: kept.text(&self.delivery_error),
            refund_reason: kept.text(&self.refund_reason),
            json: kept.text(&self.json),
            lines: kept.lines(&self.lines),
            refunded_lines: kept.lines(&self.refunded_lines),
            line_count: self.lines.len(),
            refunded_line_count: self.refunded_lines.len(),
            amount: self.amount,
            refunded: self.refunded,
            created_at: self.created_at,
            paid_at: self.paid_at,
            refund_at: self.refund_at,
            kind: self.kind as i32,
            payment: self.payment as i32,
            pay_type: self.pay_type,
            service: self.service as i32,
            door: self.door as i32,
            delivery: self.delivery as i32,
            suspicious: self.suspicious as i32,
            refund_state: self.refund_state,
            state_text: kept.text(&self.state_text),
        }
    }
}

pub(super) struct List<C> {
    items: Vec<C>,
    total: i64,
    more: i32,
    _kept: Kept,
}

// SAFETY: the pointers in the items lead into `_kept` beside them, which is never changed again.
unsafe impl<C> Send for List<C> {}
// SAFETY: shared, the items and what they lead to are only read.
unsafe impl<C> Sync for List<C> {}

impl Handle for kl_cabinets {
    const KIND: HandleKind = HandleKind::Cabinets;
    type Held = List<kl_cabinet>;
}
impl Handle for kl_stock {
    const KIND: HandleKind = HandleKind::Stock;
    type Held = List<kl_stock_item>;
}
impl Handle for kl_orders {
    const KIND: HandleKind = HandleKind::Orders;
    type Held = List<kl_order>;
}

impl<C: 'static> List<C> {
    /// The result of a call that gives these items and no more.
    pub(super) fn these<T: Show<Shown = C>>(items: &[T]) -> List<C> {
        List::kept(items, Kept::default())
    }

    /// The same with room for its texts that was taken before.
    pub(super) fn kept<T: Show<Shown = C>>(items: &[T], mut kept: Kept) -> List<C> {
        let items: Vec<C> = items.iter().map(|i| i.show(&mut kept)).collect();
        let total = items.len() as i64;
        List { items, total, more: 0, _kept: kept }
    }

    /// One page, or everything that the pages hold.
    fn of<T: Show<Shown = C>>(
        one: Option<PageRequest>,
        fetch: impl FnOnce(PageRequest) -> Result<Page<T>>,
        all: impl FnOnce() -> Pages<T>,
    ) -> Result<List<C>> {
        let mut kept = Kept::default();
        let (items, total, more) = match one {
            Some(request) => {
                let page = fetch(request)?;
                let items: Vec<C> = page.items.iter().map(|i| i.show(&mut kept)).collect();
                (items, page.total.map_or(-1, |t| t as i64), Tri::from(page.more) as i32)
            }
            None => {
                let mut pages = all();
                let mut items = Vec::new();
                while let Some(item) = pages.next_item()? {
                    items.push(item.show(&mut kept));
                }
                let total = items.len() as i64;
                (items, total, 0)
            }
        };
        Ok(List { items, total, more, _kept: kept })
    }

    pub(super) fn count<H: Handle<Held = List<C>>>(handle: *const H) -> usize {
        look(handle, 0, |list| list.items.len())
    }

    pub(super) fn at<H: Handle<Held = List<C>>>(handle: *const H, index: usize) -> *const C {
        look(handle, std::ptr::null(), |list| {
            list.items.get(index).map_or(std::ptr::null(), std::ptr::from_ref)
        })
    }

    fn total<H: Handle<Held = List<C>>>(handle: *const H) -> i64 {
        look(handle, -1, |list| list.total)
    }

    fn more<H: Handle<Held = List<C>>>(handle: *const H) -> i32 {
        look(handle, 0, |list| list.more)
    }
}

/// Items one after the other.
pub(super) struct Iter<T: Show> {
    client: Client,
    walk: Mutex<Walk<T>>,
}

struct Walk<T: Show> {
    /// Away while a call runs: a panic in it leaves none behind.
    pages: Option<Pages<T>>,
    current: Option<Box<(T::Shown, Kept)>>,
}

// SAFETY: the pointers in the shown item lead into the `Kept` beside it; the lock keeps threads apart.
unsafe impl<T: Show> Send for Iter<T> {}
// SAFETY: shared, it is reached through the lock alone.
unsafe impl<T: Show> Sync for Iter<T> {}

impl Handle for kl_cabinet_iter {
    const KIND: HandleKind = HandleKind::CabinetIter;
    type Held = Iter<Cabinet>;
}
impl Handle for kl_stock_iter {
    const KIND: HandleKind = HandleKind::StockIter;
    type Held = Iter<StockItem>;
}
impl Handle for kl_order_iter {
    const KIND: HandleKind = HandleKind::OrderIter;
    type Held = Iter<Order>;
}

impl<T: Show> Iter<T> {
    fn through(client: &Client, pages: Pages<T>) -> Iter<T> {
        let walk = Mutex::new(Walk { pages: Some(pages), current: None });
        Iter { client: client.clone(), walk }
    }

    fn next<H: Handle<Held = Iter<T>>>(
        iter: *mut H,
        item: *mut *const T::Shown,
        err: *mut kl_error,
    ) -> kl_status {
        let out = Out::cleared(item, std::ptr::null());
        fn client_of<T: Show>(iter: &Thing) -> Option<&Client> {
            iter.downcast_ref::<Iter<T>>().map(|iter| &iter.client)
        }
        let sort = handle::sort::<H>();
        through_client(iter.cast(), &sort, err, Kind::Read, client_of::<T>, &mut |iter, _| {
            let Some(iter) = iter.downcast_ref::<Iter<T>>() else { return Err(internal()) };
            out.present("item")?;
            let mut walk = iter.walk.lock().unwrap_or_else(PoisonError::into_inner);
            let mut pages = walk.pages.take().ok_or_else(|| {
                Error::new(KL_E_RETIRED, "this iterator ended in an internal error; make a new one")
            })?;
            let next = pages.next_item();
            walk.pages = Some(pages);
            walk.current = next?.map(|found| {
                let mut kept = Kept::default();
                Box::new((found.show(&mut kept), kept))
            });
            if let Some(current) = &walk.current {
                // The box stays where it is until the next call.
                out.write(&raw const current.0);
            }
            Ok(())
        })
    }
}

/// # Safety
/// `page` is NULL or as many readable bytes as its first field says.
unsafe fn page(page: *const kl_page) -> Result<Option<PageRequest>> {
    if page.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
    let p = unsafe { text::request("page", page)? };
    Ok(Some(PageRequest { number: p.number, size: p.size }))
}

fn order_kind(kind: kl_order_kind) -> Result<OrderKind> {
    match kind {
        KL_ORDER_KIND_CABINET => Ok(OrderKind::Cabinet),
        KL_ORDER_KIND_VENDING => Ok(OrderKind::Vending),
        _ => Err(Error::new(KL_E_ARGUMENT, "kind must be KL_ORDER_KIND_CABINET or KL_ORDER_KIND_VENDING")),
    }
}

/// # Safety
/// `query` is NULL or as many readable bytes as its first field says, and each text in it is NULL or terminated.
unsafe fn order_query(query: *const kl_order_query) -> Result<OrderQuery> {
    // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
    unsafe {
        let q = text::request("query", query)?;
        Ok(OrderQuery {
            kind: order_kind(q.kind)?,
            from: q.from,
            to: q.to,
            extra_json: text::optional("extra_json", q.extra_json)?.map(str::to_owned),
        })
    }
}

/// The account's cabinets (Yopoint: `cabinet.list`, <https://yopointapi.apifox.cn/api-140618274>, or with
/// `machines=vending` `terminal.terminal.list`; Dingshang: `POST /rent/machines`, which is always one page; Youzan: pickup points, `multistore.offline.search`): one page, or all of
/// them if `page` is NULL. Tried again inside `timeout_ms` when the network fails. End the result with
/// `kl_cabinets_free`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_cabinet_list(
    client: *mut kl_client,
    page: *const kl_page,
    out: *mut *mut kl_cabinets,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe { List::of(self::page(page)?, |p| client.cabinet_list(p), || client.cabinets(0)) }
    })
}

/// How many cabinets the list holds; 0 if the handle is not a list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_cabinets_count(list: *const kl_cabinets) -> usize {
    List::count(list)
}

/// A cabinet of the list; NULL if `index` is not below the count. Borrowed from the list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_cabinets_at(list: *const kl_cabinets, index: usize) -> *const kl_cabinet {
    List::at(list, index)
}

/// How many cabinets there are in all; -1 if the platform does not say.
#[unsafe(no_mangle)]
pub extern "C" fn kl_cabinets_total(list: *const kl_cabinets) -> i64 {
    List::total(list)
}

/// Whether more pages follow: 1, 0, or -1 if unknown until the next one is asked for.
#[unsafe(no_mangle)]
pub extern "C" fn kl_cabinets_more(list: *const kl_cabinets) -> i32 {
    List::more(list)
}

/// Frees a list. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_cabinets_free(list: *mut kl_cabinets) {
    end(list);
}

/// Walks the account's cabinets page by page, `page_size` at a time (0 for the most that the platform documents),
/// holding one page in memory. Sends nothing yet. End it with `kl_cabinet_iter_free`.
///
/// Codes: none of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_cabinet_iter_new(
    client: *mut kl_client,
    page_size: u32,
    out: *mut *mut kl_cabinet_iter,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| Ok(Iter::through(client, client.cabinets(page_size))))
}

/// The next cabinet in `*item`, or NULL there after the last one, both with `KL_OK`. It is borrowed until the next call.
/// After an error the same page is asked for again.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_cabinet_iter_next(
    iter: *mut kl_cabinet_iter,
    item: *mut *const kl_cabinet,
    err: *mut kl_error,
) -> kl_status {
    Iter::next(iter, item, err)
}

/// Frees an iterator. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_cabinet_iter_free(iter: *mut kl_cabinet_iter) {
    end(iter);
}

/// All goods of a cabinet with price and number (Yopoint: `cabinet.product.stock`; the shape of its records is inferred
/// from its documented relative `cabinet.product.stock.with.replenishment`; with `machines=vending`
/// `terminal.product.layout.get`; Dingshang: `POST /products`, one item for each
/// lane of the main cabinet `A`: the others with `kl_stock_fetch_page` and `{"cabinet_name":"B"}`; Youzan:
/// `items.onsale.get`, the goods of the whole shop whatever `cabinet_id` says). Tried again inside `timeout_ms` when the
/// network fails; each page has that long. End the result with `kl_stock_free`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_stock_fetch(
    client: *mut kl_client,
    cabinet_id: *const c_char,
    out: *mut *mut kl_stock,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        unsafe {
            let id = text::need("cabinet_id", cabinet_id)?;
            List::of(None, |p| client.stock_page(id, p, None), || client.stock(id, 0, None))
        }
    })
}

/// One page of the goods of a cabinet, with more parameters for the platform if `extra_json`, a JSON object, is not
/// NULL. `page` NULL means all pages. End the result with `kl_stock_free`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_stock_fetch_page(
    client: *mut kl_client,
    cabinet_id: *const c_char,
    page: *const kl_page,
    extra_json: *const c_char,
    out: *mut *mut kl_stock,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe {
            let id = text::need("cabinet_id", cabinet_id)?;
            let extra = text::optional("extra_json", extra_json)?;
            List::of(self::page(page)?, |p| client.stock_page(id, p, extra), || client.stock(id, 0, extra))
        }
    })
}

/// How many kinds of goods the list holds; 0 if the handle is not a list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_stock_count(stock: *const kl_stock) -> usize {
    List::count(stock)
}

/// An item of the list; NULL if `index` is not below the count. Borrowed from the list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_stock_at(stock: *const kl_stock, index: usize) -> *const kl_stock_item {
    List::at(stock, index)
}

/// How many kinds of goods there are in all; -1 if the platform does not say.
#[unsafe(no_mangle)]
pub extern "C" fn kl_stock_total(stock: *const kl_stock) -> i64 {
    List::total(stock)
}

/// Whether more pages follow: 1, 0, or -1 if unknown until the next one is asked for.
#[unsafe(no_mangle)]
pub extern "C" fn kl_stock_more(stock: *const kl_stock) -> i32 {
    List::more(stock)
}

/// Frees a list. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_stock_free(stock: *mut kl_stock) {
    end(stock);
}

/// Walks the goods of a cabinet page by page, holding one page in memory. `page_size` 0 means the most that the
/// platform documents; `extra_json` may be NULL. Sends nothing yet. End it with `kl_stock_iter_free`.
///
/// Codes: none of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_stock_iter_new(
    client: *mut kl_client,
    cabinet_id: *const c_char,
    page_size: u32,
    extra_json: *const c_char,
    out: *mut *mut kl_stock_iter,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        // SAFETY: the caller's texts are NULL or terminated, and there for the time of the call.
        unsafe {
            let id = text::need("cabinet_id", cabinet_id)?;
            let extra = text::optional("extra_json", extra_json)?;
            Ok(Iter::through(client, client.stock(id, page_size, extra)))
        }
    })
}

/// The next item in `*item`, or NULL there after the last one, both with `KL_OK`. It is borrowed until the next call.
/// After an error the same page is asked for again.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_stock_iter_next(
    iter: *mut kl_stock_iter,
    item: *mut *const kl_stock_item,
    err: *mut kl_error,
) -> kl_status {
    Iter::next(iter, item, err)
}

/// Frees an iterator. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_stock_iter_free(iter: *mut kl_stock_iter) {
    end(iter);
}

/// One order (Yopoint: `cabinet.order.get`, <https://yopointapi.apifox.cn/api-150924989>, or `consumer.order.get`;
/// Dingshang: `POST /orders/{order_no}`, which needs `cabinet_id` too), as a list of one. Tried again inside
/// `timeout_ms` when the network fails. End the result with `kl_orders_free`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_order_get(
    client: *mut kl_client,
    order: *const kl_order_ref,
    out: *mut *mut kl_orders,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe {
            let r = text::request("order", order)?;
            let wanted = OrderRef {
                kind: order_kind(r.kind)?,
                order_no: text::owned("order_no", r.order_no)?,
                trade_no: text::owned("trade_no", r.trade_no)?,
                cabinet_id: text::owned("cabinet_id", r.cabinet_id)?,
                extra_json: text::optional("extra_json", r.extra_json)?.map(str::to_owned),
            };
            Ok(List::these(&[client.order_get(&wanted)?]))
        }
    })
}

/// The orders of a period (Yopoint: `cabinet.order.list`, <https://yopointapi.apifox.cn/api-151045316>, or
/// `consumer.order.list`; Youzan: `trades.sold.get`): one page, or all of them if `page` is NULL. Periods longer than a
/// platform lists at once (Youzan: 89 days) are split and joined, oldest first; a page of one is refused. Tried again
/// inside `timeout_ms` when the network fails. End the result with `kl_orders_free`.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_order_list(
    client: *mut kl_client,
    query: *const kl_order_query,
    page: *const kl_page,
    out: *mut *mut kl_orders,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe {
            let q = order_query(query)?;
            List::of(self::page(page)?, |p| client.order_list(&q, p), || client.orders(&q, 0))
        }
    })
}

/// How many orders the list holds; 0 if the handle is not a list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_orders_count(list: *const kl_orders) -> usize {
    List::count(list)
}

/// An order of the list; NULL if `index` is not below the count. Borrowed from the list.
#[unsafe(no_mangle)]
pub extern "C" fn kl_orders_at(list: *const kl_orders, index: usize) -> *const kl_order {
    List::at(list, index)
}

/// How many orders there are in all; -1 if the platform does not say.
#[unsafe(no_mangle)]
pub extern "C" fn kl_orders_total(list: *const kl_orders) -> i64 {
    List::total(list)
}

/// Whether more pages follow: 1, 0, or -1 if unknown until the next one is asked for.
#[unsafe(no_mangle)]
pub extern "C" fn kl_orders_more(list: *const kl_orders) -> i32 {
    List::more(list)
}

/// Frees a list. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_orders_free(list: *mut kl_orders) {
    end(list);
}

/// Walks the orders of a period page by page, holding one page in memory. `page_size` 0 means the most that the
/// platform documents. Sends nothing yet; the query is copied. End it with `kl_order_iter_free`.
///
/// Codes: none of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_order_iter_new(
    client: *mut kl_client,
    query: *const kl_order_query,
    page_size: u32,
    out: *mut *mut kl_order_iter,
    err: *mut kl_error,
) -> kl_status {
    give(client, out, err, |client| {
        // SAFETY: the caller's struct is NULL or as long as its first field says, and its texts are NULL or terminated.
        unsafe { Ok(Iter::through(client, client.orders(&order_query(query)?, page_size))) }
    })
}

/// The next order in `*item`, or NULL there after the last one, both with `KL_OK`. It is borrowed until the next call.
/// After an error the same page is asked for again.
///
/// Codes: *network*, *platform*.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kl_order_iter_next(
    iter: *mut kl_order_iter,
    item: *mut *const kl_order,
    err: *mut kl_error,
) -> kl_status {
    Iter::next(iter, item, err)
}

/// Frees an iterator. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn kl_order_iter_free(iter: *mut kl_order_iter) {
    end(iter);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_model() {
        let pairs = [
            (SaleState::Unknown as i32, KL_SALE_STATE_UNKNOWN),
            (SaleState::Selling as i32, KL_SALE_STATE_SELLING),
            (SaleState::Stopped as i32, KL_SALE_STATE_STOPPED),
            (SaleState::ToBeDeployed as i32, KL_SALE_STATE_TO_BE_DEPLOYED),
            (OrderKind::Cabinet as i32, KL_ORDER_KIND_CABINET),
            (OrderKind::Vending as i32, KL_ORDER_KIND_VENDING),
            (PaymentState::Unknown as i32, KL_PAYMENT_STATE_UNKNOWN),
            (PaymentState::Unpaid as i32, KL_PAYMENT_STATE_UNPAID),
            (PaymentState::Paid as i32, KL_PAYMENT_STATE_PAID),
            (PaymentState::Failed as i32, KL_PAYMENT_STATE_FAILED),
            (ServiceState::Unknown as i32, KL_SERVICE_STATE_UNKNOWN),
            (ServiceState::NotStarted as i32, KL_SERVICE_STATE_NOT_STARTED),
            (ServiceState::InService as i32, KL_SERVICE_STATE_IN_SERVICE),
            (ServiceState::Ended as i32, KL_SERVICE_STATE_ENDED),
            (DoorState::Unknown as i32, KL_DOOR_STATE_UNKNOWN),
            (DoorState::Open as i32, KL_DOOR_STATE_OPEN),
            (DoorState::Shut as i32, KL_DOOR_STATE_SHUT),
            (DoorState::NeverOpened as i32, KL_DOOR_STATE_NEVER_OPENED),
            (DeliveryState::Unknown as i32, KL_DELIVERY_STATE_UNKNOWN),
            (DeliveryState::Pending as i32, KL_DELIVERY_STATE_PENDING),
            (DeliveryState::Delivered as i32, KL_DELIVERY_STATE_DELIVERED),
            (DeliveryState::Failed as i32, KL_DELIVERY_STATE_FAILED),
            (DeliveryState::AwaitingPickup as i32, KL_DELIVERY_STATE_AWAITING_PICKUP),
            (DeliveryState::OutOfStock as i32, KL_DELIVERY_STATE_OUT_OF_STOCK),
        ];
        for (model, c) in pairs {
            assert_eq!(model, c);
        }
    }
}
