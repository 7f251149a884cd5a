//! What the library tells, in the words of the header's constants.
//!
//! Written out one by one: in the small builds for boards `{:?}` prints nothing.

use kiosklink::command::{Physical, SettledBy};
use kiosklink::event::EventKind;
use kiosklink::model::{
    CodeKind, CodeState, DeliveryState, DoorState, OrderKind, PaymentState, SaleState, ServiceState,
};

/// Something with a name.
pub trait Named {
    /// `never_opened` for `NeverOpened`; nothing for what is not told.
    fn named(self) -> &'static str;
}

macro_rules! names {
    ($($kind:ident { $($variant:ident $name:literal)* })*) => {
        $(impl Named for $kind {
            fn named(self) -> &'static str {
                match self {
                    $($kind::$variant => $name,)*
                }
            }
        })*

        #[cfg(test)]
        const ALL: &[(&dyn std::fmt::Debug, fn() -> &'static str)] =
            &[$($((&$kind::$variant, || $kind::$variant.named()),)*)*];
    };
}

names! {
    CodeKind { Pickup "pickup" Virtual "virtual" Voucher "voucher" }
    CodeState {
        Unknown "" Unused "unused" Used "used" Expired "expired" Refunding "refunding" Disabled "disabled"
    }
    DeliveryState {
        Unknown "" Pending "pending" Delivered "delivered" Failed "failed" AwaitingPickup "awaiting_pickup"
        OutOfStock "out_of_stock"
    }
    DoorState { Unknown "" Open "open" Shut "shut" NeverOpened "never_opened" }
    EventKind {
        Other "other" Test "test" DoorClosed "door_closed" Recognized "recognized" OrderPaid "order_paid"
        RefundApproved "refund_approved" OrderReplaced "order_replaced" Delivery "delivery"
        VoucherRedeemed "voucher_redeemed" CabinetChanged "cabinet_changed" ReturnSlip "return_slip"
        RefundRequested "refund_requested" RefundFinished "refund_finished" PayPage "pay_page"
        OrderChanged "order_changed" OrderFinished "order_finished" OrderClosed "order_closed"
        RefundChanged "refund_changed" StockChanged "stock_changed" AppChanged "app_changed"
    }
    OrderKind { Cabinet "cabinet" Vending "vending" }
    PaymentState { Unknown "" Unpaid "unpaid" Paid "paid" Failed "failed" }
    Physical {
        None "none" Pending "pending" Confirmed "confirmed" Failed "failed" Unknowable "unknowable"
    }
    SaleState { Unknown "" Selling "selling" Stopped "stopped" ToBeDeployed "to_be_deployed" }
    ServiceState { Unknown "" NotStarted "not_started" InService "in_service" Ended "ended" }
    SettledBy {
        Nobody "nobody" Answer "answer" Query "query" Event "event" Sensor "sensor" Person "person"
        Journal "journal"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_the_variants_own() {
        assert!(ALL.len() > 50);
        for (variant, name) in ALL {
            let mut own = String::new();
            for (i, c) in format!("{variant:?}").chars().enumerate() {
                if c.is_ascii_uppercase() && i > 0 {
                    own.push('_');
                }
                own.push(c.to_ascii_lowercase());
            }
            let told = if own == "unknown" { "" } else { own.as_str() };
            assert_eq!(name(), told);
        }
    }
}
