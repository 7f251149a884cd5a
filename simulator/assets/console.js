// The console of kiosklink-sim. What is shown comes from GET /_sim/events, what is done goes to the control API.
//
// Every text from the world becomes a text node: there is no markup in here that is made of strings, and the page's
// policy (trusted types) would not let it be.
'use strict';

/* ---- Elements ------------------------------------------------------------------------------------------------- */

const SVG = 'http://www.w3.org/2000/svg';

// A wished-for element: h('button.quiet', {onclick, 'aria-label': ...}, children). Children: elements, texts, lists,
// and null for nothing. `key` tells siblings apart that may move.
function h(kind, props, ...children) {
  const [tag, ...classes] = kind.split('.');
  const all = { ...props };
  const own = [...classes, all.class].filter(Boolean).join(' ');
  delete all.class;
  if (own) all.class = own;
  const flat = children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false && c !== '');
  return { tag, key: all.key, props: all, children: flat };
}

const svg = (kind, props, ...children) => ({ ...h(kind, props, ...children), ns: SVG });

// Makes an element's children what is wished for and leaves alone what is so already: focus, what was typed, and what
// was unfolded stay.
function fill(parent, wished) {
  const flat = [wished].flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false && c !== '');
  const keyed = new Map();
  for (const node of parent.childNodes) if (node.kiosk?.key !== undefined) keyed.set(node.kiosk.key, node);
  const wanted = new Set(flat.map((wish) => wish.key));
  let at = parent.firstChild;
  for (const wish of flat) {
    let node;
    while (at?.kiosk?.key !== undefined && !wanted.has(at.kiosk.key)) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
    if (typeof wish !== 'object') {
      if (at && at.nodeType === Node.TEXT_NODE) node = at;
      else node = parent.insertBefore(document.createTextNode(''), at);
      if (node.data !== String(wish)) node.data = String(wish);
    } else {
      const known = wish.key !== undefined ? keyed.get(wish.key) : at;
      const fits = known && known.kiosk && known.kiosk.tag === wish.tag && known.kiosk.key === wish.key;
      if (fits) {
        node = known;
        if (node !== at) parent.insertBefore(node, at);
      } else {
        node = wish.ns ? document.createElementNS(wish.ns, wish.tag) : document.createElement(wish.tag);
        node.kiosk = { tag: wish.tag, key: wish.key, props: {} };
        parent.insertBefore(node, at);
      }
      dress(node, wish.props);
      fill(node, wish.children);
    }
    at = node.nextSibling;
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function dress(node, props) {
  const old = node.kiosk.props;
  for (const name of new Set([...Object.keys(old), ...Object.keys(props)])) {
    const value = props[name];
    if (name === 'key' || old[name] === value) continue;
    if (name.startsWith('on')) node[name] = value ?? null;
    else if (name.startsWith('--')) node.style.setProperty(name, value ?? '');
    else if (name === 'value' || name === 'checked' || name === 'open') node[name] = value ?? '';
    else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.kiosk.props = props;
}

const byId = (id) => document.getElementById(id);

/* ---- What is known -------------------------------------------------------------------------------------------- */

const NAMES = { yopoint: 'Yopoint', dingshang: 'Dingshang', youzan: 'Youzan', zhiyun: 'Zhiyun' };
const known = {
  clock: null, world: null, openings: null, faults: null, callbacks: null, requests: [], catalogue: [], about: null,
};
const ui = {
  platform: 'yopoint', view: 'requests', open: new Set(), filter: '', refused: false, find: '',
  scope: { platform: '', method: '', count: '1', skip: '0' }, params: {}, reset: 0,
  dice: { probability: '0.2', seed: '1' },
};

/* ---- Words and numbers ---------------------------------------------------------------------------------------- */

const clockForm = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayForm = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' });
const time = (ms) => (Number.isFinite(ms) ? clockForm.format(ms) : '–');
const money = (fen) => (Number.isFinite(fen) ? (fen / 100).toFixed(2) : '–');
const plural = (n, one, many) => `${n} ${n === 1 ? one : many}`;
const plain = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

function nowMs() {
  if (!known.clock) return NaN;
  return known.clock.frozen ? known.clock.now_ms : known.clock.now_ms + (performance.now() - known.clock.seen);
}

function span(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

const good = (barcode) => known.world?.goods.find((g) => g.barcode === barcode)?.name ?? barcode;

function placeName(id) {
  const cabinet = known.world?.cabinets.find((c) => c.id === id);
  const machine = known.dingshang?.machines.find((m) => m.machine_no === id);
  return cabinet?.name ?? machine?.machine_name ?? id;
}

function causeOf(opening) {
  const { by, request } = opening.cause;
  if (by === 'control') return 'by hand';
  return `by ${NAMES[by] ?? by}${request ? `, request ${request}` : ''}`;
}

/* ---- Doing something ------------------------------------------------------------------------------------------ */

let troubleTimer = 0;
function trouble(text) {
  const place = byId('trouble');
  place.textContent = text;
  place.classList.add('shown');
  clearTimeout(troubleTimer);
  troubleTimer = setTimeout(() => {
    place.classList.remove('shown');
    place.textContent = '';
  }, 7000);
}

async function ask(method, path, body) {
  try {
    const answer = await fetch(`/_sim${path}`, {
      method, body: body === undefined ? undefined : JSON.stringify(body), headers: { 'Content-Type': 'application/json' },
    });
    const value = await answer.json();
    if (!answer.ok) trouble(`That did not work: ${value.error ?? answer.status}.`);
    return answer.ok ? value : null;
  } catch {
    trouble('The simulator does not answer.');
    return null;
  }
}

const act = (method, path, body) => () => ask(method, path, body);
const door = (cabinet, number, action) => act('POST', '/doors', { cabinet, door: number, action });
const segment = encodeURIComponent;

/* ---- Small parts ---------------------------------------------------------------------------------------------- */

const SIGNS = {
  good: 'M3 8.500l3 3 7-7', bad: 'M4 4l8 8M12 4l-8 8', warn: 'M8 3v6M8 12v.5', off: 'M3 13L13 3',
  wait: 'M8 4v4l3 2', flash: 'M9 2L4 9h4l-1 5 5-7H8z', plain: 'M5 8h6',
};
const sign = (name) => svg('svg.sign', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: SIGNS[name] }));
const badge = (kind, text, title) => h('span.badge', { class: kind, title }, sign(kind), h('span', {}, text));
const button = (text, onclick, more) => h('button', { type: 'button', onclick, ...more }, text);
const none = (text) => h('p.none', {}, text);
const meter = (n, of) => h('span.meter', { '--part': `${of > 0 ? Math.min(100, (100 * n) / of) : 0}%`, 'aria-hidden': 'true' });

function switchButton(on, label, onclick, more) {
  return h('button.switch', { type: 'button', role: 'switch', 'aria-checked': String(on), 'aria-label': label, onclick, ...more },
    h('span.track', { 'aria-hidden': 'true' }, h('span.knob', {})), h('span', { 'aria-hidden': 'true' }, on ? 'On' : 'Off'));
}

function block(title, count, body, more) {
  return h('section.block', { key: title }, h('div.blockhead', {}, h('h2', {}, title),
    count === null ? null : h('span.count', {}, String(count)), more), body);
}

// A list of records: the number that names it, badges, what else there is.
function rows(list, make, empty) {
  if (list.length === 0) return none(empty);
  return h('ul.rows', {}, list.map(make));
}

const row = (key, id, badges, facts, actions) => h('li.row', { key: String(key) },
  h('div.rowmain', {}, h('code', {}, id), badges),
  h('p.facts', {}, facts.filter(Boolean).map((fact, i) => h('span', { key: i }, fact))),
  actions ? h('div.rowdo', {}, actions) : null);

/* ---- Yopoint: cabinets ---------------------------------------------------------------------------------------- */

function doorState(cabinet, lock, opening) {
  const since = opening && lock.open ? ` since ${time(opening.at_ms)}` : '';
  if (lock.open) return { kind: 'open', sign: 'flash', text: `Open${since}${lock.jammed ? ', bolt jammed' : ''}` };
  if (lock.jammed) return { kind: 'jammed', sign: 'warn', text: 'Jammed' };
  if (!cabinet.online) return { kind: 'offline', sign: 'off', text: 'Shut, offline' };
  return { kind: 'shut', sign: 'good', text: 'Shut' };
}

function lastOpening(cabinet, lane) {
  const list = known.openings?.list ?? [];
  return list.findLast((o) => o.cabinet === cabinet && (lane === undefined || o.door === lane));
}

function doorPicture(cabinet, index) {
  const number = index + 1;
  const lock = cabinet.doors[index];
  const behind = cabinet.stock.filter((line) => line.door === number);
  const opening = lastOpening(cabinet.id, number);
  const state = doorState(cabinet, lock, opening);
  const shelves = [...new Set(behind.map((line) => line.row))].sort((a, b) => a - b);
  const pieces = behind.reduce((sum, line) => sum + line.stock, 0);
  const name = `Door ${number} of ${cabinet.name}`;
  return h('div.door', { key: number, 'data-state': state.kind, 'data-door': number },
    h('div.bay', {},
      h('div.shelves', { 'aria-hidden': 'true' }, shelves.map((shelf) => h('div.shelf', { key: shelf },
        behind.filter((line) => line.row === shelf).map((line) =>
          h('span.pile', { key: line.barcode, '--part': `${line.capacity > 0 ? Math.min(100, (100 * line.stock) / line.capacity) : 0}%`, '--count': String(Math.max(1, line.stock)), class: line.stock ? '' : 'gone' }))))),
      h('button.leaf', {
        type: 'button', 'aria-pressed': String(lock.open), onclick: door(cabinet.id, number, lock.open ? 'shut' : 'open'),
        'aria-label': `${name}: ${state.text}. Press to ${lock.open ? 'shut' : 'open'}.`,
      }, h('span.plate', { 'aria-hidden': 'true' }, String(number)), h('span.handle', { 'aria-hidden': 'true' }),
      lock.jammed ? h('span.wedge', { 'aria-hidden': 'true' }, sign('warn')) : null)),
    h('p.state', {}, sign(state.sign), h('span', {}, state.text)),
    h('div.doordo', { role: 'group', 'aria-label': name },
      button(lock.open ? 'Shut' : 'Open', door(cabinet.id, number, lock.open ? 'shut' : 'open'), { class: 'main' }),
      button(lock.jammed ? 'Free' : 'Jam', door(cabinet.id, number, lock.jammed ? 'unjam' : 'jam'), { 'aria-pressed': String(lock.jammed) }),
      button(pieces ? 'Empty' : 'Fill', door(cabinet.id, number, pieces ? 'empty' : 'fill'), { disabled: behind.length === 0 })));
}

function cabinetCard(cabinet) {
  const last = lastOpening(cabinet.id);
  const selling = cabinet.sell_status === 1 && cabinet.enable_sell;
  const times = cabinet.doors.reduce((sum, lock) => sum + lock.opened_times, 0);
  return h('article.machine', { key: cabinet.id, 'data-cabinet': cabinet.id, class: cabinet.online ? '' : 'away', 'aria-label': cabinet.name },
    h('header', {}, h('div', {}, h('h3', {}, cabinet.name), h('code.id', {}, cabinet.id)),
      h('div.badges', {}, cabinet.online ? badge('good', 'Online') : badge('off', 'Offline'), selling ? null : badge('warn', 'Not selling'))),
    h('div.case', { onkeydown: alongDoors, class: cabinet.doors.length > 1 ? 'wide' : '' }, cabinet.doors.map((_, i) => doorPicture(cabinet, i))),
    h('table.lanes', {}, h('caption.unseen', {}, `Stock of ${cabinet.name}`),
      h('thead.unseen', {}, h('tr', {}, ['Lane', 'Goods', 'Price', 'Stock'].map((t) => h('th', { key: t, scope: 'col' }, t)))),
      h('tbody', {}, cabinet.stock.map((line, i) => h('tr', { key: i, class: line.stock ? '' : 'gone' },
        h('td.lane', {}, `${line.row}·${line.col}`), h('td.goods', {}, good(line.barcode)), h('td.price', {}, money(line.price)),
        h('td.stock', {}, meter(line.stock, line.capacity), h('span', {}, line.stock ? `${line.stock} / ${line.capacity}` : 'empty')))))),
    h('footer', {}, h('p.last', {}, last ? `Door ${last.door} opened ${time(last.at_ms)} ${causeOf(last)}` : 'Not opened yet', times > 1 ? ` · ${times} times` : null),
      button(cabinet.online ? 'Take offline' : 'Bring online', door(cabinet.id, 1, cabinet.online ? 'offline' : 'online'), { class: 'quiet' })));
}

// The arrow keys go from door to door within a cabinet.
function alongDoors(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step || !event.target.classList.contains('leaf')) return;
  const leaves = [...event.currentTarget.querySelectorAll('.leaf')];
  const next = leaves[leaves.indexOf(event.target) + step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}

const STAGES = {
  open: ['flash', 'door open'], recognising: ['wait', 'recognising'], review: ['wait', 'a person looks'], unpaid: ['warn', 'unpaid'],
  payment_failed: ['bad', 'payment failed'], paid: ['good', 'paid'], refund_asked: ['wait', 'refund asked'],
  refund_sent: ['wait', 'refund sent'], refunded: ['plain', 'refunded'], never_opened: ['bad', 'never opened'],
};
const stage = (name) => badge(...(STAGES[name] ?? ['plain', name ?? 'unknown']));

function yopoint() {
  const world = known.world;
  const mine = known.yopoint;
  const orders = [...mine.orders].reverse();
  const vended = [...mine.consumer_orders].reverse();
  const more = world.cabinet_count - world.cabinets.length;
  return [
    block('Cabinets', world.cabinet_count, [h('div.machines', {}, world.cabinets.map(cabinetCard)),
      more > 0 ? none(`${more} more are not drawn; /_sim/cabinets/ID knows them all.`) : null]),
    block('Vending machines', mine.terminals.length, h('div.machines', {}, mine.terminals.map((t) =>
      h('article.machine', { key: t.TID, 'aria-label': t.Name, class: t.OnlineStatus === 1 ? '' : 'away' },
        h('header', {}, h('div', {}, h('h3', {}, t.Name), h('code.id', {}, t.TID)),
          h('div.badges', {}, t.OnlineStatus === 1 ? badge('good', 'Online') : badge('off', 'Offline'))),
        h('table.lanes', {}, h('caption.unseen', {}, `Stock of ${t.Name}`), h('tbody', {}, (t.Layout ?? []).map((lane, i) =>
          h('tr', { key: i, class: lane.Stock ? '' : 'gone' }, h('td.lane', {}, `${lane.Row}·${lane.Col}`), h('td.goods', {}, good(lane.BarCode)),
            h('td.stock', {}, h('span', {}, lane.Stock ? `${lane.Stock} pieces` : 'empty')))))),
        h('footer', {}, h('p.last', {}, 'Sells and reports by itself'),
          button('Sell one', act('POST', '/yopoint/consumer_orders', { tid: t.TID }), { class: 'quiet', 'aria-label': `Sell one from ${t.Name}` })))))),
    block('Orders of cabinets', orders.length, rows(orders, (o) => row(o.ReceiptNo, o.ReceiptNo, stage(o._sim?.stage), [
      placeName(o.CID), (o.Products ?? []).map((p) => `${p.Qty} × ${p.Name}`).join(', '), `${money(o.Price)} yuan`, time(o.CreateAt * 1000)]), 'No order yet.')),
    block('Orders of vending machines', vended.length, rows(vended, (o) => row(o.ReceiptNo, o.ReceiptNo,
      [stage(o._sim?.stage), o.ShipmentsStatus === 1 ? badge('good', 'given out') : badge('bad', o.ShipmentsError || 'not given out')],
      [o.ProductName, `${money(o.Price)} yuan`, time(o.CreateAt * 1000)]), 'No order yet.')),
  ];
}

/* ---- Dingshang: machines with lanes --------------------------------------------------------------------------- */

const STUCK = 'Goods are Stuck';

function laneCell(machine, lane, index) {
  const path = `/dingshang/machines/${segment(machine.machine_no)}/lanes/${segment(lane.channel)}`;
  const next = lane.outcomes[0];
  const last = lastOpening(machine.machine_no, index + 1);
  const notes = [
    lane.status !== '1' ? badge('warn', `motor ${lane.status}`, 'The status the machine reports of this motor') : null,
    lane.on_sale ? null : badge('off', 'off sale'),
    next ? badge('warn', `next: ${next.error || (next.silent ? 'silent' : 'success')}`) : null,
    lane.reserved ? badge('wait', `${lane.reserved} promised`) : null,
  ];
  return h('li.cell', { key: lane.channel, class: lane.stock ? '' : 'gone', 'data-lane': lane.channel },
    h('div.window', { '--part': `${lane.capacity > 0 ? Math.min(100, (100 * lane.stock) / lane.capacity) : 0}%`, '--count': String(Math.max(1, lane.stock)), 'aria-hidden': 'true' }, h('span.pieces', {})),
    h('p.celltop', {}, h('b', {}, lane.channel), h('span', {}, lane.stock ? `${lane.stock} / ${lane.capacity}` : 'empty')),
    h('p.goods', {}, lane.name), h('p.price', {}, money(lane.price)),
    h('div.badges', {}, notes),
    last ? h('p.last', {}, `fell ${time(last.at_ms)} ${causeOf(last)}`) : null,
    h('div.doordo', { role: 'group', 'aria-label': `Lane ${lane.channel} of ${machine.machine_name}` },
      button('Drop', act('POST', `${path}/drop`, {}), { class: 'main', disabled: lane.stock <= 0, 'aria-label': `Drop a piece from lane ${lane.channel}` }),
      button(next ? 'Free' : 'Jam', act('PATCH', path, { outcomes: next ? [] : [{ error: STUCK }] }), { 'aria-pressed': String(Boolean(next)), title: 'What the motor does at the next command' }),
      button(lane.stock ? 'Empty' : 'Fill', act('PATCH', path, { stock: lane.stock ? 0 : lane.capacity }))));
}

function machineCard(machine) {
  const path = `/dingshang/machines/${segment(machine.machine_no)}`;
  const busy = machine.lock && machine.lock.until_ms > nowMs();
  return h('article.machine.vending', { key: machine.machine_no, 'data-machine': machine.machine_no, class: machine.is_online ? '' : 'away', 'aria-label': machine.machine_name },
    h('header', {}, h('div', {}, h('h3', {}, machine.machine_name), h('code.id', {}, machine.machine_no)),
      h('div.badges', {}, machine.is_online ? badge('good', 'Online') : badge('off', 'Offline'),
        machine.status ? null : badge('warn', 'Out of operation'), machine.pickup_codes ? null : badge('plain', 'No pickup codes'), busy ? badge('wait', 'Delivering') : null)),
    machine.lanes.length ? h('ul.cells', {}, machine.lanes.map((lane, i) => laneCell(machine, lane, i))) : none('No lanes.'),
    h('footer', {}, button(machine.status ? 'Stop operation' : 'Put in operation', act('PATCH', path, { status: !machine.status }), { class: 'quiet' }),
      button(machine.is_online ? 'Take offline' : 'Bring online', act('PATCH', path, { is_online: !machine.is_online }), { class: 'quiet' })));
}

function dingshang() {
  const mine = known.dingshang;
  const now = nowMs();
  const lane = (c) => mine.machines.find((m) => m.machine_no === c.machine_no)?.lanes.find((l) => l.product_id === c.product_id);
  const outcome = (d) => {
    if (d.timed_out) return badge('bad', 'timed out');
    if (d.finished_ms === null) return badge('wait', d.result_waits ? 'result waits, offline' : 'under way');
    return d.outcome.error ? badge('bad', d.outcome.error) : badge('good', 'success');
  };
  return [
    block('Machines', mine.machines.length, h('div.machines.broad', {}, mine.machines.map(machineCard))),
    block('Pickup codes', mine.codes.length, rows([...mine.codes].reverse(), (c) => h('li.row.ticket', { key: String(c.id) }, h('div.rowmain', {}, h('b.code', {}, c.code),
      c.used_by ? badge('plain', 'used') : c.expires_ms !== null && c.expires_ms < now ? badge('bad', 'expired') : badge('good', 'good')),
    h('p.facts', {}, [placeName(c.machine_no), lane(c) ? `${lane(c).channel} ${lane(c).name}` : `product ${c.product_id}`,
      c.used_by ? `order ${c.used_by}, ${time(c.used_ms)}` : c.expires_ms === null ? 'never expires' : `until ${time(c.expires_ms)}`].map((t, i) => h('span', { key: i }, t)))), 'No pickup code. The merchant makes them: codes_create, kl_code_create.')),
    block('Orders', mine.orders.length, rows([...mine.orders].reverse(), (o) => row(o.order_id, String(o.order_id),
      [badge('plain', o.status), ...o.records.map((r) => badge({ IS_SUCCESS: 'good', IS_PICKED_UP: 'good', IS_FAILED: 'bad', IS_TIMEOUT: 'bad' }[r.status] ?? 'wait', r.status))],
      [placeName(o.machine_no), o.trade_id, time(o.created_ms)]), 'No order yet.')),
    block('Deliveries', mine.deliveries.length, rows([...mine.deliveries].reverse(), (d) => row(d.delivery_id, d.delivery_id, outcome(d),
      [placeName(d.machine_no), `lane ${d.channel}`, d.dropped ? plural(d.dropped, 'piece fell', 'pieces fell') : 'nothing fell', time(d.at_ms)],
      d.finished_ms === null && !d.timed_out ? button('Report now', act('POST', `/dingshang/deliveries/${segment(d.delivery_id)}/result`), { class: 'quiet' }) : null), 'No delivery yet.')),
  ];
}

/* ---- Youzan: codes, vouchers, orders, tokens ------------------------------------------------------------------ */

function youzanCodes(order) {
  const codes = [];
  const used = (yes, ms) => (yes ? badge('plain', `redeemed ${time(ms)}`) : badge('good', 'not redeemed'));
  if (order.pickup) codes.push(['pickup code', order.pickup.code, used(order.pickup.used, order.pickup.used_ms),
    order.pickup.total_count ? `${order.pickup.current_count} of ${order.pickup.total_count} periods` : null]);
  if (order.virtual_code) codes.push(['virtual code', order.virtual_code.code, used(order.virtual_code.used, order.virtual_code.used_ms), null]);
  for (const ticket of order.voucher?.tickets ?? []) {
    const late = ticket.expires_ms && ticket.expires_ms <= nowMs() && ticket.state === 'NOT_VERIFY';
    const words = { NOT_VERIFY: ['good', 'not redeemed'], VERIFIED: ['plain', `redeemed ${time(ticket.used_ms)}`], EXPIRED: ['bad', 'expired'] };
    codes.push(['voucher ticket', ticket.ticket_code, badge(...(late ? words.EXPIRED : words[ticket.state] ?? ['warn', ticket.state])), null]);
  }
  return codes;
}

function youzan() {
  const mine = known.youzan;
  const now = nowMs();
  const point = (id) => mine.points.find((p) => p.id === id)?.name;
  const title = (id) => mine.items.find((i) => i.item_id === id)?.title ?? `item ${id}`;
  const goods = (o) => o.lines.map((l) => `${l.num} × ${title(l.item_id)}`).join(', ');
  const codes = mine.orders.flatMap((o) => youzanCodes(o).map((code) => ({ order: o, code })));
  const token = (t) => {
    if (t.dies_ms <= now) return badge('bad', 'dead');
    if (t.replaced) return badge('warn', 'replaced');
    return badge('good', `good for ${span(t.dies_ms - now)}`);
  };
  return [
    block('Codes and vouchers', codes.length, codes.length ? h('ul.tickets', {}, codes.map(({ order, code: [kind, text, state, extra] }) =>
      h('li.ticket', { key: `${order.tid} ${text}` }, h('p.kind', {}, kind), h('p.code', {}, text), h('div.badges', {}, state),
        h('p.goods', {}, goods(order)), h('p.facts', {}, [point(order.point), order.fetcher_name, extra, order.status].filter(Boolean).map((t, i) => h('span', { key: i }, t)))))) : none('No code.')),
    block('Access tokens', mine.tokens.length, rows([...mine.tokens].reverse(), (t) => row(t.access_token, t.access_token, token(t),
      [`client ${t.client_id}`, `shop ${t.kdt_id}`, `made ${time(t.issued_ms)}`],
      t.dies_ms > now ? button('Kill', act('POST', '/youzan/tokens/kill', { access_token: t.access_token }), { class: 'quiet', 'aria-label': `Kill the token made ${time(t.issued_ms)}` }) : null),
    'No token yet: the first call of a client asks for one.')),
    block('Redemptions', mine.redemptions.length, rows([...mine.redemptions].reverse(), (r) => row(r.number, r.code, badge('good', r.kind),
      [`order ${r.tid}`, r.extra_info, r.cause.request ? `request ${r.cause.request}` : null, time(r.at_ms)]), 'Nothing redeemed yet.')),
    block('Orders', mine.orders.length, rows([...mine.orders].reverse(), (o) => row(o.tid, o.tid, [badge('plain', o.status), o.refund_state ? badge('warn', `refund ${o.refund_state}`) : null],
      [goods(o), `${money(o.lines.reduce((sum, l) => sum + l.price * l.num, 0))} yuan`, point(o.point), time(o.created_ms)]), 'No order.')),
    block('Goods', mine.items.length, h('div.plainlist', {}, h('table.lanes', {}, h('caption.unseen', {}, 'Goods of the shops'), h('tbody', {}, mine.items.map((item) =>
      h('tr', { key: item.item_id, class: item.quantity ? '' : 'gone' }, h('td.goods', {}, item.title), h('td.price', {}, money(item.price)),
        h('td.stock', {}, h('span', {}, item.quantity ? `${item.quantity} left` : 'sold out'))))))), null),
  ];
}

/* ---- Zhiyun: users, tokens, codes ----------------------------------------------------------------------------- */

function zhiyun() {
  const mine = known.zhiyun;
  const now = nowMs();
  const user = (uid) => mine.users.find((u) => u.uid === uid);
  const life = (until) => (until <= now ? badge('bad', 'expired') : badge('good', `good for ${span(until - now)}`));
  return [
    block('Users', mine.users.length, h('div.machines', {}, mine.users.map((u) => {
      const company = mine.companies.find((c) => c.id === u.company);
      return h('article.machine.person', { key: u.uid, 'aria-label': u.username },
        h('header', {}, h('div', {}, h('h3', {}, u.truename || u.username), h('code.id', {}, `${u.username} · uid ${u.uid}`)),
          h('div.badges', {}, u.is_admin === '1' ? badge('plain', 'Administrator') : null)),
        h('p.facts', {}, [u.phone, company ? company.company_name : 'no company', company ? company.tax_number : null].filter(Boolean).map((t, i) => h('span', { key: i }, t))));
    }))),
    block('Access tokens', mine.tokens.length, rows([...mine.tokens].reverse(), (t) => row(t.access_token, t.access_token, life(t.expires_s * 1000),
      [user(t.uid) ? user(t.uid).truename : `uid ${t.uid}, who is gone`],
      t.expires_s * 1000 > now ? button('Expire', act('POST', `/zhiyun/tokens/${segment(t.access_token)}/expire`), { class: 'quiet', 'aria-label': `Expire the token ${t.access_token}` }) : null), 'No token.')),
    block('Authorisation codes', mine.codes.length, rows([...mine.codes].reverse(), (c) => row(c.auth_code, c.auth_code, life((c.expires_s + 1) * 1000),
      [`client ${c.client_id}`, user(c.uid) ? user(c.uid).truename : `uid ${c.uid}`, c.scope],
      (c.expires_s + 1) * 1000 > now ? button('Expire', act('POST', `/zhiyun/codes/${segment(c.auth_code)}/expire`), { class: 'quiet', 'aria-label': `Expire the code ${c.auth_code}` }) : null),
    'No code yet. They are given out by authService/authorize and are good for 30 seconds.')),
  ];
}

const PLATFORMS = { yopoint, dingshang, youzan, zhiyun };

/* ---- Requests ------------------------------------------------------------------------------------------------- */

// What two texts have in common and what each has alone: [[text, differs], ...] for either.
function compare(a, b) {
  const words = (text) => text.match(/[A-Za-z0-9_]+|[^]/gu) ?? [];
  const [x, y] = [words(a), words(b)];
  let head = 0;
  while (head < x.length && head < y.length && x[head] === y[head]) head += 1;
  let tail = 0;
  while (tail < x.length - head && tail < y.length - head && x[x.length - 1 - tail] === y[y.length - 1 - tail]) tail += 1;
  const [p, q] = [x.slice(head, x.length - tail), y.slice(head, y.length - tail)];
  const marks = [p.map(() => true), q.map(() => true)];
  if (p.length * q.length > 0 && p.length * q.length <= 250000) {
    // The longest common part of what is left, word by word.
    const best = Array.from({ length: p.length + 1 }, () => new Uint16Array(q.length + 1));
    for (let i = p.length - 1; i >= 0; i -= 1) {
      for (let j = q.length - 1; j >= 0; j -= 1) {
        best[i][j] = p[i] === q[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
      }
    }
    for (let i = 0, j = 0; i < p.length && j < q.length;) {
      if (p[i] === q[j]) {
        marks[0][i] = false;
        marks[1][j] = false;
        i += 1;
        j += 1;
      } else if (best[i + 1][j] >= best[i][j + 1]) i += 1;
      else j += 1;
    }
  }
  const pieces = (all, middle, mark) => {
    const out = [];
    const add = (text, differs) => {
      if (!text) return;
      if (out.length && out.at(-1)[1] === differs) out.at(-1)[0] += text;
      else out.push([text, differs]);
    };
    add(all.slice(0, head).join(''), false);
    middle.forEach((word, i) => add(word, mark[i]));
    add(all.slice(all.length - tail).join(''), false);
    return out;
  };
  return [pieces(x, p, marks[0]), pieces(y, q, marks[1])];
}

const shown = (pieces) => pieces.map(([text, differs], i) => (differs ? h('mark', { key: `m${i}` }, text.replace(/ /g, '␣').replace(/\n/g, '⏎').replace(/\r/g, '␍')) : h('span', { key: `t${i}` }, text)));

function signature(entry) {
  const s = entry.signature;
  if (!s || typeof s !== 'object' || s.ok === undefined) return null;
  if (s.ok) return h('p.fine', {}, sign('good'), h('span', {}, 'The signature is right. Signed: '), h('code', {}, s.base));
  const [given, expected] = compare(String(s.given ?? ''), String(s.expected ?? ''));
  const parts = [h('p.differs', {}, sign('bad'), h('span', {}, 'Wrong signature: '), h('strong', {}, s.differs))];
  if (s.signed) {
    const [was, should] = compare(s.signed, s.base);
    parts.push(h('dl.compare', {}, h('dt', {}, 'Text that was signed'), h('dd.was', {}, shown(was)), h('dt', {}, 'Text that must be signed'), h('dd.should', {}, shown(should))));
  } else {
    parts.push(h('dl.compare', {}, h('dt', {}, 'Text that must be signed'), h('dd.should', {}, s.base)));
  }
  const hashes = s.given && s.expected && String(s.given).toLowerCase() !== String(s.expected).toLowerCase();
  parts.push(h('dl.compare', {}, h('dt', {}, 'Sign given'), h('dd.was', {}, hashes ? h('mark', {}, s.given) : s.given ? shown(given) : 'none'),
    h('dt', {}, 'Sign expected'), h('dd.should', {}, hashes ? h('mark', {}, s.expected) : shown(expected))));
  return parts;
}

function pretty(text) {
  if (typeof text !== 'string') return text === null || text === undefined ? 'none' : JSON.stringify(text, null, 1);
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

function requestRow(entry) {
  const open = ui.open.has(entry.number);
  const s = entry.signature;
  const judged = s && typeof s === 'object' && s.ok !== undefined;
  const dropped = entry.faults.length > 0;
  return h('li.request', { key: entry.number, 'data-number': entry.number, class: judged && !s.ok ? 'wrong' : '' },
    h('button.summary', { type: 'button', 'aria-expanded': String(open), onclick: () => { open ? ui.open.delete(entry.number) : ui.open.add(entry.number); draw('view'); } },
      h('span.no', {}, String(entry.number)), h('span.when', {}, time(entry.at_ms)), h('span.what', {}, h('b', {}, entry.method || entry.path), h('small', {}, NAMES[entry.platform])),
      h('span.badges', {}, judged ? (s.ok ? badge('good', 'signed') : badge('bad', 'wrong signature')) : null,
        dropped ? badge('flash', entry.faults.join(', ')) : null, entry.acted ? null : badge('off', 'not acted on'), h('span.status', {}, `HTTP ${entry.answer.status}`))),
    open ? h('div.details', {}, signature(entry),
      h('p.facts', {}, [`${entry.http_method} ${entry.path}`, entry.content_type, `connection ${entry.connection}`, entry.tls ? 'TLS' : 'plain HTTP', `${entry.answer.length} bytes`].filter(Boolean).map((t, i) => h('span', { key: i }, t))),
      h('h4', {}, 'Parameters'), h('pre', { tabindex: '0' }, pretty(entry.params)), h('h4', {}, 'Answer'), h('pre', { tabindex: '0' }, pretty(entry.answer.body))) : null);
}

function requestsView() {
  const wrong = (e) => e.signature && e.signature.ok === false;
  const list = known.requests.filter((e) => (!ui.filter || e.platform === ui.filter) && (!ui.refused || wrong(e)));
  const recent = list.slice(-100).reverse();
  return [h('div.bar', { key: 'bar' },
    h('label', {}, h('span', {}, 'Platform'), h('select', { onchange: (e) => { ui.filter = e.target.value; draw('view'); } },
      h('option', { value: '' }, 'all'), Object.entries(NAMES).map(([id, name]) => h('option', { key: id, value: id }, name)))),
    h('label.check', {}, h('input', { type: 'checkbox', onchange: (e) => { ui.refused = e.target.checked; draw('view'); } }), h('span', {}, 'Wrong signatures only')),
    button('Clear log', act('DELETE', '/requests'), { class: 'quiet' })),
  recent.length ? h('ol.requests', { key: 'list' }, recent.map(requestRow)) : none(known.requests.length ? 'No request fits.' : 'No request yet. Point a client at the address above.')];
}

/* ---- Faults --------------------------------------------------------------------------------------------------- */

function scopeText(rule) {
  const where = [rule.platform ? NAMES[rule.platform] ?? rule.platform : null, rule.method].filter(Boolean).join(' ') || 'any request';
  const left = rule.left === null ? 'until switched off' : rule.left === 0 ? 'used up' : `${rule.left} more`;
  return [where, rule.skip ? `lets ${rule.skip} pass first` : null, left, `applied ${plural(rule.applied, 'time', 'times')}`];
}

function switchOn(fault) {
  const { platform, method, count, skip } = ui.scope;
  const params = {};
  for (const [name, preset] of Object.entries(fault.params)) {
    const typed = ui.params[`${fault.name} ${name}`];
    if (typed === undefined) continue;
    if (typeof preset === 'number') params[name] = Number(typed);
    else if (typeof preset === 'boolean') params[name] = Boolean(typed);
    else if (Array.isArray(preset)) params[name] = typed.split(',').map((t) => t.trim()).filter(Boolean);
    else params[name] = typed;
  }
  return ask('POST', '/faults', {
    fault: fault.name, params, platform: platform || undefined, method: method.trim() || undefined,
    count: count === '' ? null : Number(count), skip: Number(skip) || 0,
  });
}

function faultRow(fault) {
  const rules = known.faults.rules.filter((r) => r.left !== 0 && r.faults.length === 1 && r.faults[0].fault === fault.name);
  const on = rules.length > 0;
  const toggle = async () => {
    if (!on) return switchOn(fault);
    for (const rule of rules) await ask('DELETE', `/faults/${rule.id}`);
  };
  const params = Object.entries(fault.params);
  const open = ui.open.has(fault.name);
  return h('li.fault', { key: fault.name, 'data-fault': fault.name, class: on ? 'on' : '' },
    h('div.faulttext', {}, h('p', {}, h('b', {}, fault.name)), h('p.about', {}, fault.about)),
    button('Settings', () => { open ? ui.open.delete(fault.name) : ui.open.add(fault.name); draw('view'); }, { class: 'quiet', 'aria-expanded': String(open), 'aria-label': `Settings of ${fault.name}` }),
    switchButton(on, `Fault ${fault.name}: ${fault.about}`, toggle),
    open ? h('div.params', {}, params.map(([name, preset]) => h('label', { key: name }, h('span', {}, name),
      typeof preset === 'boolean'
        ? h('input', { type: 'checkbox', checked: ui.params[`${fault.name} ${name}`] ?? preset, onchange: (e) => { ui.params[`${fault.name} ${name}`] = e.target.checked; } })
        : h('input', { type: typeof preset === 'number' ? 'number' : 'text', placeholder: plain(preset), oninput: (e) => { ui.params[`${fault.name} ${name}`] = e.target.value === '' ? undefined : e.target.value; } })))) : null);
}

function faultsView() {
  const random = known.faults.random;
  const find = ui.find.trim().toLowerCase();
  const list = known.catalogue.filter((f) => !find || f.name.includes(find) || f.about.toLowerCase().includes(find));
  const methods = [...new Set(known.requests.map((e) => e.method).filter(Boolean))].sort();
  const rules = [...known.faults.rules].reverse();
  const set = (name) => (e) => { ui.scope[name] = e.target.value; };
  return [
    h('form.bar.scope', { key: 'scope', onsubmit: (e) => e.preventDefault(), 'aria-label': 'Which requests a fault meets' },
      h('label', {}, h('span', {}, 'Platform'), h('select', { id: 'fault-platform', onchange: set('platform') }, h('option', { value: '' }, 'any'),
        Object.entries(NAMES).map(([id, name]) => h('option', { key: id, value: id }, name)))),
      h('label.grow', {}, h('span', {}, 'Operation'), h('input', { id: 'fault-method', list: 'methods', placeholder: 'any', autocomplete: 'off', spellcheck: 'false', oninput: set('method') })),
      h('label', {}, h('span', {}, 'How often'), h('select', { id: 'fault-count', onchange: set('count') }, ['1', '2', '3', '10'].map((n) => h('option', { key: n, value: n }, n === '1' ? 'once' : `${n} times`)), h('option', { key: 'ever', value: '' }, 'until off'))),
      h('label.short', {}, h('span', {}, 'Let pass'), h('input', { type: 'number', min: '0', value: '0', inputmode: 'numeric', oninput: set('skip') })),
      h('datalist', { id: 'methods' }, methods.map((m) => h('option', { key: m, value: m })))),
    rules.length ? h('section.force', { key: 'force', 'aria-label': 'Faults in force' }, h('div.blockhead', {}, h('h3', {}, 'Rules'), h('span.count', {}, String(rules.length)), button('Remove all', act('DELETE', '/faults'), { class: 'quiet' })),
      h('ul.rows', {}, rules.map((r) => row(r.id, r.faults.map((f) => f.fault).join(' + '), r.left === 0 ? badge('plain', 'used up') : badge('flash', 'in force'), scopeText(r),
        button('Remove', act('DELETE', `/faults/${r.id}`), { class: 'quiet', 'aria-label': `Remove rule ${r.id}` }))))) : null,
    h('form.dice', { key: 'dice', onsubmit: (e) => e.preventDefault(), class: random ? 'on' : '' },
      h('div.faulttext', {}, h('p', {}, h('b', {}, 'At random')), h('p.about', {}, random
        ? `Seed ${random.seed}, ${Math.round(random.probability * 100)} in 100: ${random.applied} of ${plural(random.decided, 'request', 'requests')} so far.`
        : 'All faults, by dice. The same seed and the same requests give the same faults.')),
      h('label', {}, h('span', {}, 'Probability'), h('input', { id: 'dice-probability', type: 'number', min: '0', max: '1', step: '0.05', value: '0.2', inputmode: 'decimal', oninput: (e) => { ui.dice.probability = e.target.value; } })),
      h('label', {}, h('span', {}, 'Seed'), h('input', { id: 'dice-seed', type: 'number', min: '0', step: '1', value: '1', inputmode: 'numeric', oninput: (e) => { ui.dice.seed = e.target.value; } })),
      switchButton(Boolean(random), 'Faults at random', () => ask('POST', '/faults', {
        random: random ? null : { probability: Number(ui.dice.probability), seed: Number(ui.dice.seed), platform: ui.scope.platform || undefined, method: ui.scope.method.trim() || undefined },
      }), { id: 'dice-switch' })),
    h('label.search', { key: 'find' }, h('span', {}, 'Find a fault'), h('input', { type: 'search', oninput: (e) => { ui.find = e.target.value; draw('view'); } })),
    h('ul.faults', { key: 'all' }, list.map(faultRow)),
  ];
}

/* ---- Callbacks and openings ----------------------------------------------------------------------------------- */

function callbacksView() {
  const all = known.callbacks;
  const kinds = { delivered: 'good', failed: 'bad', no_url: 'off', dropped: 'off' };
  return [
    all.targets.length ? h('p.facts', { key: 'targets' }, all.targets.map((t, i) => h('span', { key: i }, `${NAMES[t.platform] ?? t.platform} ${t.channel} → ${t.url}`)))
      : none('No address is set: POST /_sim/callbacks {"platform", "url"} sets one.'),
    rows([...all.list].reverse(), (d) => row(d.id, `${d.id} ${d.method}`, [badge(kinds[d.progress] ?? 'wait', d.progress.replace('_', ' ')), d.forge ? badge('warn', 'forged') : null],
      [NAMES[d.platform] ?? d.platform, d.receipt, d.url, d.attempts.length ? plural(d.attempts.length, 'attempt', 'attempts') : null, d.attempts.at(-1)?.error, time(d.due_ms)],
      [button('Send again', act('POST', `/callbacks/${d.id}/resend`, {}), { class: 'quiet', 'aria-label': `Send callback ${d.id} again` }),
        button('Forge', act('POST', `/callbacks/${d.id}/resend`, { forge: true }), { class: 'quiet', 'aria-label': `Send a forged copy of callback ${d.id}` })]), 'No callback yet.'),
  ];
}

function openingsView() {
  return rows([...known.openings.list].reverse(), (o) => h('li.row', { key: String(o.number), 'data-opening': o.number },
    h('div.rowmain', {}, h('b', {}, `${o.lane ? `Lane ${o.lane}` : `Door ${o.door}`} of ${placeName(o.cabinet)}`),
      o.lane ? badge('plain', 'a piece fell') : o.shut_ms === null ? badge('flash', 'open') : badge('good', `shut after ${span(o.shut_ms - o.at_ms)}`)),
    h('p.facts', {}, [time(o.at_ms), causeOf(o), o.cause.receipt, o.cause.trade_no ? `trade ${o.cause.trade_no}` : null].filter(Boolean).map((t, i) => h('span', { key: i }, t)))),
  'No door has opened yet.');
}

const VIEWS = { requests: ['Requests', requestsView], faults: ['Faults', faultsView], callbacks: ['Callbacks', callbacksView], openings: ['Openings', openingsView] };

/* ---- Drawing -------------------------------------------------------------------------------------------------- */

function tabs(place, panel, entries, chosen, choose) {
  const ids = entries.map(([id]) => id);
  fill(place, entries.map(([id, text, count]) => h('button.tab', {
    key: id, type: 'button', role: 'tab', id: `tab-${id}`, 'aria-selected': String(id === chosen), 'aria-controls': panel.id,
    tabindex: id === chosen ? '0' : '-1', onclick: () => choose(id),
    onkeydown: (event) => {
      const to = { ArrowRight: ids[(ids.indexOf(id) + 1) % ids.length], ArrowLeft: ids.at(ids.indexOf(id) - 1), Home: ids[0], End: ids.at(-1) }[event.key];
      if (!to) return;
      event.preventDefault();
      choose(to);
      byId(`tab-${to}`).focus();
    },
  }, h('span', {}, text), count ? h('span.count', {}, String(count)) : null)));
  panel.setAttribute('aria-labelledby', `tab-${chosen}`);
}

const draws = {
  top() {
    byId('time').textContent = time(nowMs());
    byId('date').textContent = known.clock ? dayForm.format(nowMs()) : '';
    const off = known.clock ? Math.round(known.clock.offset_ms / 1000) : 0;
    const pace = !known.clock ? '' : known.clock.frozen ? 'The clock stands still' : Math.abs(off) < 2 ? 'The platforms’ clock' : `${span(Math.abs(off) * 1000)} ${off > 0 ? 'ahead of' : 'behind'} this computer`;
    if (byId('pace').textContent !== pace) byId('pace').textContent = pace;
  },
  tools() {
    const frozen = Boolean(known.clock?.frozen);
    fill(byId('tools'), [
      button('+5 s', act('POST', '/clock/advance', { ms: 5000 }), { key: 'a', 'aria-label': 'Let five seconds pass' }),
      button('+1 min', act('POST', '/clock/advance', { ms: 60000 }), { key: 'b', 'aria-label': 'Let a minute pass' }),
      button(frozen ? 'Let it run' : 'Freeze', act('POST', '/clock', { freeze: !frozen }), { key: 'c', 'aria-label': frozen ? 'Let the clock run' : 'Freeze the clock' }),
      button(ui.reset ? 'Sure? Press again' : 'Reset', () => {
        clearTimeout(ui.reset);
        if (ui.reset) {
          ui.reset = 0;
          ask('POST', '/reset');
        } else {
          ui.reset = setTimeout(() => { ui.reset = 0; draw('tools'); }, 4000);
        }
        draw('tools');
      }, { key: 'd', class: ui.reset ? 'danger' : '', 'aria-label': ui.reset ? 'Press again to set everything back to the start' : 'Reset: everything back to the start' }),
    ]);
  },
  platform() {
    tabs(byId('platforms'), byId('platform'), Object.entries(NAMES), ui.platform, (id) => { ui.platform = id; draw('platform'); });
    const ready = known.world && known.openings && known[ui.platform];
    fill(byId('platform'), ready ? h('div.sheet', { key: ui.platform }, PLATFORMS[ui.platform]()) : none('Waiting for the simulator …'));
  },
  view() {
    const wrong = known.requests.filter((e) => e.signature?.ok === false).length;
    const inForce = (known.faults?.rules.filter((r) => r.left !== 0).length ?? 0) + (known.faults?.random ? 1 : 0);
    const counts = { requests: wrong ? `${wrong} wrong` : 0, faults: inForce ? `${inForce} on` : 0 };
    tabs(byId('views'), byId('view'), Object.entries(VIEWS).map(([id, [text]]) => [id, text, counts[id]]), ui.view, (id) => { ui.view = id; draw('view'); });
    const ready = known.faults && known.callbacks && known.openings;
    fill(byId('view'), ready ? h('div.sheet', { key: ui.view }, VIEWS[ui.view][1]()) : none('Waiting for the simulator …'));
  },
};
const dirty = new Set();
function draw(...names) {
  if (dirty.size === 0) {
    requestAnimationFrame(() => {
      const now = [...dirty];
      dirty.clear();
      now.forEach((name) => draws[name]());
    });
  }
  names.forEach((name) => dirty.add(name));
}

/* ---- The line to the simulator -------------------------------------------------------------------------------- */

const BEAT_LIMIT_MS = 15000;
let source = null;
let heard = 0;
let tries = 0;
let retry = 0;

function link(state, text) {
  const place = byId('link');
  if (place.dataset.link === state && place.textContent === text) return;
  place.dataset.link = state;
  place.textContent = text;
  document.body.classList.toggle('stale', state === 'lost');
}

function announce(openings) {
  const before = known.openings;
  if (!before || openings.count <= before.count) return;
  const fresh = openings.list.filter((o) => o.number > before.count);
  byId('said').textContent = fresh.map((o) => `${o.lane ? `Lane ${o.lane}` : `Door ${o.door}`} of ${placeName(o.cabinet)} opened ${causeOf(o)}.`).join(' ');
}

const HEAR = {
  clock(data) {
    known.clock = { ...data, seen: performance.now() };
    draw('top', 'tools');
  },
  world(data) { known.world = data; draw('platform', 'view'); },
  openings(data) { announce(data); known.openings = data; draw('platform', 'view'); },
  faults(data) { known.faults = data; draw('view'); },
  callbacks(data) { known.callbacks = data; draw('view'); },
  requests(data) {
    known.requests = [...(data.fresh ? [] : known.requests), ...data.list].slice(-1000);
    if (data.fresh) for (const n of [...ui.open]) if (!data.list.some((e) => e.number === n) && typeof n === 'number') ui.open.delete(n);
    draw('view');
  },
};
for (const name of Object.keys(NAMES)) {
  HEAR[name] = (data) => {
    known[name] = data;
    draw('platform');
  };
}

function connect() {
  clearTimeout(retry);
  source?.close();
  source = new EventSource('/_sim/events');
  heard = performance.now();
  for (const [name, hear] of Object.entries(HEAR)) {
    source.addEventListener(name, (event) => {
      heard = performance.now();
      tries = 0;
      link('live', 'Live');
      hear(JSON.parse(event.data));
    });
  }
  source.onerror = lost;
  if (!known.catalogue.length) {
    fetch('/_sim/faults/known').then((a) => a.json()).then((list) => { known.catalogue = list; draw('view'); }, () => {});
    fetch('/_sim').then((a) => a.json()).then((about) => { byId('address').textContent = about.origin; }, () => {});
  }
}

// The browser would try again by itself, but not after every kind of end, and it would not say so.
function lost() {
  source?.close();
  source = null;
  tries += 1;
  link('lost', 'Connection lost. Trying again …');
  clearTimeout(retry);
  retry = setTimeout(connect, Math.min(500 * tries, 5000));
}

setInterval(() => {
  if (source && performance.now() - heard > BEAT_LIMIT_MS) lost();
  draw('top');
  // What counts down is drawn anew; the rest waits for news.
  if (['youzan', 'zhiyun', 'dingshang'].includes(ui.platform)) draw('platform');
}, 1000);

// A page that nobody sees needs no line; browsers have few of them for one address.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    source?.close();
    source = null;
    clearTimeout(retry);
    link('wait', 'Paused');
  } else if (!source) {
    link('wait', 'Connecting …');
    connect();
  }
});

draw('top', 'tools', 'platform', 'view');
connect();
