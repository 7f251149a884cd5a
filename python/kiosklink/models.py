"""What calls return: read-only copies that stay valid for as long as you keep them.

The rules for all of them: money is in fen (1/100 yuan), points in time are Unix seconds, and ``None`` is what the
platform did not tell. Texts are never ``None``, and empty where the platform does not tell. ``json`` is the platform's own
record; ``data`` is the same, parsed. What admits somebody or names a customer (a pickup code) is not in ``repr``.
"""

import json as _json
from dataclasses import dataclass, field, fields
from typing import Any, Iterator, Optional, Sequence, Tuple, TypeVar, Union, overload

from ._native import string
from .enums import (
    CodeKind,
    CodeState,
    CommandKind,
    DeliveryState,
    DoorState,
    EventKind,
    OrderKind,
    Outcome,
    PaymentState,
    PhysicalState,
    SaleState,
    ServiceState,
    SettledBy,
    SignedWith,
    Status,
    TimeSource,
    Verb,
)

__all__ = [
    "Cabinet",
    "ClientTime",
    "Command",
    "Company",
    "EventInfo",
    "JournalInfo",
    "Order",
    "OrderLine",
    "Page",
    "PickupCode",
    "Stats",
    "StockItem",
    "User",
]

T = TypeVar("T")


def told(value: int) -> Optional[int]:
    """A number; None for -1."""
    return None if value == -1 else value


def when(value: int) -> Optional[int]:
    """Unix seconds; None for 0."""
    return value or None


def yes(value: int) -> Optional[bool]:
    """1, 0, or None for -1."""
    return None if value == -1 else bool(value)


class _Record:
    """What has the platform's own record."""

    json: str

    @property
    def data(self) -> Any:
        """The platform's own record, parsed. ``None`` if there is none."""
        return _json.loads(self.json) if self.json else None


class Page(Sequence[T]):
    """A list that was read whole or one page of it, with what the platform says of the rest. Read-only."""

    __slots__ = ("_items", "more", "total")

    total: Optional[int]
    """How many there are in all; None if the platform does not say."""

    more: Optional[bool]
    """Whether more pages follow; None if only asking for the next one can tell."""

    def __init__(self, items: Sequence[T], total: Optional[int] = None, more: Optional[bool] = None) -> None:
        self._items = tuple(items)
        self.total = total
        self.more = more

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Tuple[T, ...]: ...

    def __getitem__(self, index: Union[int, slice]) -> Union[T, Tuple[T, ...]]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __repr__(self) -> str:
        return "Page(%r, total=%r, more=%r)" % (list(self._items), self.total, self.more)


@dataclass(frozen=True)
class Cabinet(_Record):
    """A cabinet, locker or vending machine."""

    id: str
    """The id that the other calls take."""
    name: str
    device_code: str
    """The id of the device inside."""
    code: str
    """The production code."""
    address: str
    """Where it stands, from province to street."""
    json: str = field(repr=False)
    longitude: Optional[float]
    """Degrees in the platform's own system (Yopoint: Baidu)."""
    latitude: Optional[float]
    online: Optional[bool]
    """Whether the platform can reach it."""
    sale: SaleState
    door_count: Optional[int]


@dataclass(frozen=True)
class StockItem(_Record):
    """One kind of goods in one cabinet."""

    cabinet_id: str
    id: str
    """The platform's id of the goods in this cabinet."""
    product_id: str
    """The provider's product id."""
    barcode: str
    name: str
    image_url: str
    lanes: str
    """The lanes that hold it, separated by commas (Dingshang: the lane's name, which is the ``door`` of ``door_open``)."""
    json: str = field(repr=False)
    price: Optional[int]
    """The price of one, in fen."""
    shelved_at: Optional[int]
    """When it was put on the shelf, Unix seconds."""
    stock: Optional[int]
    """How many there are."""
    capacity: Optional[int]
    """How many fit."""
    sold: Optional[int]


@dataclass(frozen=True)
class OrderLine:
    """Goods in an order."""

    barcode: str
    name: str
    price: Optional[int]
    """The price of one, in fen."""
    total: Optional[int]
    """The price of all, in fen."""
    quantity: Optional[int]
    delivery: DeliveryState
    item_no: str
    """The platform's number of this item, by which it is dispensed (Dingshang: the ``item_no`` of ``door_open``)."""
    product_id: str
    state_text: str
    """What became of it in the platform's own word."""


@dataclass(frozen=True)
class Order(_Record):
    """A purchase."""

    order_no: str
    """The platform's number."""
    trade_no: str
    """The payment channel's or your own number."""
    cabinet_id: str
    user_id: str
    """The platform's id of the customer."""
    open_id: str
    """The payment channel's id of the customer."""
    delivery_error: str
    """Why a delivery failed, in the platform's message."""
    refund_reason: str
    json: str = field(repr=False)
    lines: Tuple[OrderLine, ...]
    refunded_lines: Tuple[OrderLine, ...]
    """The goods that went back."""
    amount: Optional[int]
    """The sum, in fen."""
    refunded: Optional[int]
    """What went back, in fen."""
    created_at: Optional[int]
    paid_at: Optional[int]
    refund_at: Optional[int]
    """When a refund was asked for."""
    kind: OrderKind
    payment: PaymentState
    pay_type: Optional[int]
    """How it was paid, as the platform numbers it."""
    service: ServiceState
    door: DoorState
    delivery: DeliveryState
    suspicious: Optional[bool]
    """The platform marked it for review."""
    refund_state: int
    """The refund the customer asked for, as the platform numbers it; 0 for none."""
    state_text: str
    """The order's state in the platform's own word."""


@dataclass(frozen=True)
class PickupCode(_Record):
    """A pickup code. Who has its text has the goods, so ``repr`` leaves it out."""

    code: str = field(repr=False)
    """The text that the customer types."""
    id: str
    """The platform's id of it, by which it is cancelled."""
    cabinet_id: str
    product_id: str
    order_no: str
    """The order behind it."""
    state_text: str
    """The state in the platform's own word."""
    json: str = field(repr=False)
    order: Optional[Order]
    """The order's fields, where the platform sends them along."""
    created_at: Optional[int]
    expires_at: Optional[int]
    """None for never or unknown."""
    used_at: Optional[int]
    kind: CodeKind
    state: CodeState
    quantity: Optional[int]
    """How many items it is good for."""


@dataclass(frozen=True)
class Command(_Record):
    """What is known of a command."""

    request_id: str
    """Your name for it."""
    visit_id: str
    """The customer's visit that it belongs to; empty for none."""
    context: str
    """Your own text, as they were given with it."""
    mark: str = field(repr=False)
    """The number by which the platform's record shows that it is ours; empty where the platform keeps none."""
    order_no: str
    """The platform's order that it made or belongs to."""
    item_no: str
    """The item of that order that can be dispensed, where the platform numbers them."""
    delivery_no: str
    """The number by which a delivery can be asked for."""
    report_url: str = field(repr=False)
    """Where the payment of that order must be reported (``payment_report``); empty if the platform gave none."""
    json: str = field(repr=False)
    cabinet_id: str
    door: str
    """The door, or the lane."""
    physical_error: str
    """Why the machine did not do it, in the platform's message."""
    message: str
    """``status`` as a sentence, or the note of the person or sensor that settled it."""
    kind: CommandKind
    outcome: Outcome
    """What became of it."""
    physical: PhysicalState
    """What the machine did. This is separate from the outcome of the command."""
    settled_by: SettledBy
    """The source of the outcome."""
    status: Status
    """Why it is not done: ``Status.IN_FLIGHT`` while it is under way, ``Status.KEPT`` while it waits to be sent, else how its call
    ended; OK for done."""
    recorded: bool
    """Answered from memory: nothing was sent this time."""
    mature_in_ms: int
    """How long it is too early to settle it as not done, in milliseconds; 0: it is taken now."""
    verb: Optional[Verb]
    """Which verb it is; None if it was so long ago that only its fingerprint is left."""
    sequence: int
    """Its place in the order of all commands of the account; grows whatever the clock does."""
    age_ms: int
    """How long ago it was begun, in milliseconds, whatever the clocks were set to meanwhile."""
    started_at: Optional[int]
    """When it was begun, by the client's clock; for people."""
    sent_at: Optional[int]
    """When its first byte was about to leave, by the client's clock; None if none was."""
    kept_for_ms: int
    """It waits to be sent by the library (``Status.KEPT``): for so many milliseconds at most; 0: it does not wait."""


@dataclass(frozen=True)
class Visit:
    """A customer's visit: the commands that bear its ``visit_id``."""

    visit_id: str
    """Your name for it."""
    commands: Tuple[Command, ...]
    """Its commands that are remembered, the oldest first; at least one."""
    started_at: Optional[int]
    """When the first of them was begun, by the client's clock; for people."""
    age_ms: int
    """How long ago that was, in milliseconds."""
    done_count: int
    """How many of them are done."""
    unknown_count: int
    """How many are unknown, under way, or waiting to be sent."""


@dataclass(frozen=True)
class JournalInfo:
    """How the journal of commands does."""

    damaged: bool
    """Nothing is sent before :meth:`Client.journal_repair`."""
    bytes: int
    """Its length; 0 without ``state_dir``."""
    settled: int
    """Commands that are known to be done or not done."""
    unsettled: int
    """Commands that are unknown or under way."""
    syncs: int
    """How often this process synced it to the disk: once for each command."""
    sync_last_us: int
    """How long the last sync took, in microseconds."""
    sync_max_us: int
    sync_total_us: int
    path: str
    """Where it is; cut if it is longer than 255 bytes."""
    names: int
    """The names of done commands that are remembered."""
    epoch: int
    """How often a person adopted the installation's journal."""
    damage: str
    """Where it is damaged."""
    installation: str
    """The installation that it belongs to; empty without ``state_dir``."""
    file_system: str
    """The kind of file system that it is on, ``ext4``; empty if that is not known."""
    visits: int
    """Visits that are open."""


@dataclass(frozen=True)
class EventInfo(_Record):
    """What a callback says."""

    kind: EventKind
    duplicate: bool
    """This client saw it before and took it: answer it again, do nothing else."""
    signed_with: SignedWith
    door: DoorState
    delivery: DeliveryState
    sent_at: Optional[int]
    """When the platform signed it."""
    at: Optional[int]
    """When it was paid, or made."""
    amount: Optional[int]
    """The sum, in fen."""
    method: str
    """The platform's own name for the callback."""
    app_id: str
    """The account it is for."""
    notice_id: str
    order_no: str
    trade_no: str
    cabinet_id: str
    message: str
    """The platform's message about it."""
    report_url: str = field(repr=False)
    """Where the payment must be reported."""
    voucher_id: str
    voucher_code: str = field(repr=False)
    depot_id: str
    """The store room of a return slip."""
    account_id: str
    """The account of the restocker."""
    biz_id: str
    """The business number of a return slip."""
    json: str = field(repr=False)
    lines: Tuple[OrderLine, ...]
    order: Optional[Order]
    cabinet: Optional[Cabinet]
    item_no: str
    version: Optional[int]
    """The platform's version of what the callback is about, higher for newer."""
    stale: bool
    """A newer version of the same was seen before: what this callback says is no longer true."""


@dataclass(frozen=True)
class User:
    """A person, as the platform knows them. ``raw`` is JSON, or XML if the account speaks XML."""

    username: str
    name: str = field(repr=False)
    sex: str = field(repr=False)
    phone: str = field(repr=False)
    avatar_url: str = field(repr=False)
    raw: str = field(repr=False)
    created_at: Optional[int]
    now: Optional[int]
    """The platform's time."""
    is_admin: Optional[bool]
    """Whether they administer the company."""


@dataclass(frozen=True)
class Company:
    """A company, as the platform knows it. ``raw`` is JSON, or XML if the account speaks XML."""

    name: str
    kind: str
    tax_number: str
    address: str
    phone: str
    legal_person: str = field(repr=False)
    legal_person_phone: str = field(repr=False)
    raw: str = field(repr=False)
    created_at: Optional[int]
    now: Optional[int]
    """The platform's time."""


@dataclass(frozen=True)
class Stats:
    """What a client has done so far, with its views. Counts wrap after 4,294,967,295."""

    lookups: int
    connects: int
    handshakes: int
    resumed: int
    """Handshakes that resumed a session."""
    requests: int
    """Requests of which at least one byte left."""
    reused: int
    """Requests that went over a kept connection."""
    retries: int
    """What was tried again: reads, tokens, and requests whose kept connection was found dead."""
    calls: int
    """Calls that have ended and went to the platform, or would have."""
    call_ms: int
    """How long all of these took together, from entry to answer, in milliseconds."""
    call_max_ms: int
    """How long the slowest of them took, in milliseconds."""
    done: int
    """How often an act, or what tells of one, was done."""
    not_done: int
    """How often it was not done: :class:`NotDone`."""
    unknown: int
    """How often it was unknown: :class:`OutcomeUnknown`."""
    handles: int
    """Handles of the library that are alive in this process."""


@dataclass(frozen=True)
class ClientTime:
    """The time as a client knows it."""

    unix_seconds: int
    source: TimeSource


def cabinet(raw: Any) -> Cabinet:
    """A copy of a kl_cabinet."""
    place = (raw.longitude, raw.latitude)
    known = place != (0.0, 0.0)
    return Cabinet(
        id=string(raw.id),
        name=string(raw.name),
        device_code=string(raw.device_code),
        code=string(raw.code),
        address=string(raw.address),
        json=string(raw.json),
        longitude=place[0] if known else None,
        latitude=place[1] if known else None,
        online=yes(raw.online),
        sale=SaleState(raw.sale),
        door_count=told(raw.door_count),
    )


def stock_item(raw: Any) -> StockItem:
    """A copy of a kl_stock_item."""
    return StockItem(
        cabinet_id=string(raw.cabinet_id),
        id=string(raw.id),
        product_id=string(raw.product_id),
        barcode=string(raw.barcode),
        name=string(raw.name),
        image_url=string(raw.image_url),
        lanes=string(raw.lanes),
        json=string(raw.json),
        price=told(raw.price),
        shelved_at=when(raw.shelved_at),
        stock=told(raw.stock),
        capacity=told(raw.capacity),
        sold=told(raw.sold),
    )


def order_line(raw: Any) -> OrderLine:
    """A copy of a kl_order_line."""
    return OrderLine(
        barcode=string(raw.barcode),
        name=string(raw.name),
        price=told(raw.price),
        total=told(raw.total),
        quantity=told(raw.quantity),
        delivery=DeliveryState(raw.delivery),
        item_no=string(raw.item_no),
        product_id=string(raw.product_id),
        state_text=string(raw.state_text),
    )


def order_lines(first: Any, count: int) -> Tuple[OrderLine, ...]:
    """Copies of the lines that an array points to, which is NULL if it is empty."""
    return tuple(order_line(first[i].contents) for i in range(count)) if first else ()


def order(raw: Any) -> Order:
    """A copy of a kl_order."""
    return Order(
        order_no=string(raw.order_no),
        trade_no=string(raw.trade_no),
        cabinet_id=string(raw.cabinet_id),
        user_id=string(raw.user_id),
        open_id=string(raw.open_id),
        delivery_error=string(raw.delivery_error),
        refund_reason=string(raw.refund_reason),
        json=string(raw.json),
        lines=order_lines(raw.lines, raw.line_count),
        refunded_lines=order_lines(raw.refunded_lines, raw.refunded_line_count),
        amount=told(raw.amount),
        refunded=told(raw.refunded),
        created_at=when(raw.created_at),
        paid_at=when(raw.paid_at),
        refund_at=when(raw.refund_at),
        kind=OrderKind(raw.kind),
        payment=PaymentState(raw.payment),
        pay_type=told(raw.pay_type),
        service=ServiceState(raw.service),
        door=DoorState(raw.door),
        delivery=DeliveryState(raw.delivery),
        suspicious=yes(raw.suspicious),
        refund_state=raw.refund_state,
        state_text=string(raw.state_text),
    )


def pickup_code(raw: Any) -> PickupCode:
    """A copy of a kl_pickup_code."""
    return PickupCode(
        code=string(raw.code),
        id=string(raw.id),
        cabinet_id=string(raw.cabinet_id),
        product_id=string(raw.product_id),
        order_no=string(raw.order_no),
        state_text=string(raw.state_text),
        json=string(raw.json),
        order=order(raw.order.contents) if raw.order else None,
        created_at=when(raw.created_at),
        expires_at=when(raw.expires_at),
        used_at=when(raw.used_at),
        kind=CodeKind(raw.kind),
        state=CodeState(raw.state),
        quantity=told(raw.quantity),
    )


def command(raw: Any) -> Command:
    """A copy of a kl_command_info."""
    return Command(
        request_id=string(raw.request_id),
        visit_id=string(raw.visit_id),
        context=string(raw.context),
        mark=string(raw.mark),
        order_no=string(raw.order_no),
        item_no=string(raw.item_no),
        delivery_no=string(raw.delivery_no),
        report_url=string(raw.report_url),
        json=string(raw.json),
        cabinet_id=string(raw.cabinet_id),
        door=string(raw.door),
        physical_error=string(raw.physical_error),
        message=string(raw.message),
        kind=CommandKind(raw.kind),
        outcome=Outcome(raw.outcome),
        physical=PhysicalState(raw.physical),
        settled_by=SettledBy(raw.settled_by),
        status=Status(raw.status),
        recorded=bool(raw.recorded),
        mature_in_ms=raw.mature_in_ms,
        verb=Verb(raw.verb) if raw.verb else None,
        sequence=raw.sequence,
        age_ms=raw.age_ms,
        started_at=when(raw.started_at),
        sent_at=when(raw.sent_at),
        kept_for_ms=raw.kept_for_ms,
    )


def visit(raw: Any) -> Visit:
    """A copy of a kl_visit."""
    return Visit(
        visit_id=string(raw.visit_id),
        commands=tuple(command(raw.commands[i].contents) for i in range(raw.command_count)),
        started_at=when(raw.started_at),
        age_ms=raw.age_ms,
        done_count=raw.done_count,
        unknown_count=raw.unknown_count,
    )


def journal_info(raw: Any) -> JournalInfo:
    """A copy of a kl_journal_info."""
    return JournalInfo(
        damaged=bool(raw.damaged),
        bytes=raw.bytes,
        settled=raw.settled,
        unsettled=raw.unsettled,
        syncs=raw.syncs,
        sync_last_us=raw.sync_last_us,
        sync_max_us=raw.sync_max_us,
        sync_total_us=raw.sync_total_us,
        path=string(raw.path),
        names=raw.names,
        epoch=raw.epoch,
        damage=string(raw.damage),
        installation=string(raw.installation),
        file_system=string(raw.file_system),
        visits=raw.visits,
    )


def event_info(raw: Any) -> EventInfo:
    """A copy of a kl_event_info."""
    return EventInfo(
        kind=EventKind(raw.kind),
        duplicate=bool(raw.duplicate),
        signed_with=SignedWith(raw.signed_with),
        door=DoorState(raw.door),
        delivery=DeliveryState(raw.delivery),
        sent_at=when(raw.sent_at),
        at=when(raw.at),
        amount=told(raw.amount),
        method=string(raw.method),
        app_id=string(raw.app_id),
        notice_id=string(raw.notice_id),
        order_no=string(raw.order_no),
        trade_no=string(raw.trade_no),
        cabinet_id=string(raw.cabinet_id),
        message=string(raw.message),
        report_url=string(raw.report_url),
        voucher_id=string(raw.voucher_id),
        voucher_code=string(raw.voucher_code),
        depot_id=string(raw.depot_id),
        account_id=string(raw.account_id),
        biz_id=string(raw.biz_id),
        json=string(raw.json),
        lines=order_lines(raw.lines, raw.line_count),
        order=order(raw.order.contents) if raw.order else None,
        cabinet=cabinet(raw.cabinet.contents) if raw.cabinet else None,
        item_no=string(raw.item_no),
        version=raw.version or None,
        stale=bool(raw.stale),
    )


def user(raw: Any) -> User:
    """A copy of a kl_user_info."""
    return User(
        username=string(raw.username),
        name=string(raw.name),
        sex=string(raw.sex),
        phone=string(raw.phone),
        avatar_url=string(raw.avatar_url),
        raw=string(raw.raw),
        created_at=when(raw.created_at),
        now=when(raw.now),
        is_admin=yes(raw.is_admin),
    )


def company(raw: Any) -> Company:
    """A copy of a kl_company_info."""
    return Company(
        name=string(raw.name),
        kind=string(raw.kind),
        tax_number=string(raw.tax_number),
        address=string(raw.address),
        phone=string(raw.phone),
        legal_person=string(raw.legal_person),
        legal_person_phone=string(raw.legal_person_phone),
        raw=string(raw.raw),
        created_at=when(raw.created_at),
        now=when(raw.now),
    )


def stats(raw: Any) -> Stats:
    """A copy of a kl_stats."""
    return Stats(**{one.name: getattr(raw, one.name) for one in fields(Stats)})
