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
  dialects: null, story: null,
};
const ui = {
  platform: 'yopoint', view: 'requests', open: new Set(), filter: '', refused: false, find: '',
  scope: { platform: '', method: '', count: '1', skip: '0' }, params: {}, reset: 0,
  dice: { probability: '0.2', seed: '1' }, dialect: { share: '0.25', seed: '1' },
  // Which door of a wall is looked at, which cabinet is being changed, which request's story is told.
  cell: {}, edit: null, draft: {}, story: null, target: { platform: 'yopoint', url: '' },
};

/* ---- Words and numbers ---------------------------------------------------------------------------------------- */

// English, or Chinese from the table in texts.js: what was chosen here last, else what the browser prefers.
function preferred() {
  try {
    const kept = localStorage.getItem('language');
    if (kept === 'en' || kept === 'zh') return kept;
  } catch { /* Nothing is kept here. */ }
  return (navigator.languages?.[0] ?? navigator.language ?? '').toLowerCase().startsWith('zh') ? 'zh' : 'en';
}
let language = preferred();

// A sentence of the console in the chosen language; {0}, {1} stand for its parts.
function t(english, ...parts) {
  const text = language === 'zh' ? TEXTS[english] ?? english : english;
  return text.replace(/\{(\d)\}/g, (_, n) => parts[n] ?? '');
}

const clockForm = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayForms = { en: 'en-GB', zh: 'zh-CN' };
const dayForm = (ms) => new Intl.DateTimeFormat(dayForms[language], { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }).format(ms);
const shortDay = (ms) => new Intl.DateTimeFormat(dayForms[language], { day: 'numeric', month: 'short' }).format(ms);
// The time of day; with its date, if that is not today's by the platforms' clock.
function time(ms) {
  if (!Number.isFinite(ms)) return '–';
  const today = new Date(nowMs()).toDateString() === new Date(ms).toDateString();
  return today || !known.clock ? clockForm.format(ms) : `${shortDay(ms)} ${clockForm.format(ms)}`;
}
const money = (fen) => (Number.isFinite(fen) ? (fen / 100).toFixed(2) : '–');
const plain = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

function nowMs() {
  if (!known.clock) return NaN;
  return known.clock.frozen ? known.clock.now_ms : known.clock.now_ms + (performance.now() - known.clock.seen);
}

function span(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  if (s < 120) return t('{0} s', s);
  if (s < 7200) return t('{0} min', Math.round(s / 60));
  if (s < 172800) return t('{0} h', Math.round(s / 3600));
  return t('{0} days', Math.round(s / 86400));
}

const good = (barcode) => known.world?.goods.find((g) => g.barcode === barcode)?.name ?? barcode;

function placeName(id) {
  const cabinet = known.world?.cabinets.find((c) => c.id === id);
  const machine = known.dingshang?.machines.find((m) => m.machine_no === id);
  return cabinet?.name ?? machine?.machine_name ?? id;
}

const whichDoor = (o) => (o.lane ? t('Lane {0} of {1}', o.lane, placeName(o.cabinet)) : t('Door {0} of {1}', o.door, placeName(o.cabinet)));

function causeOf(opening) {
  const { by, request } = opening.cause;
  if (by === 'control') return t('by hand');
  const name = NAMES[by] ?? by;
  return request ? t('by {0}, request {1}', name, request) : t('by {0}', name);
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
    if (!answer.ok) trouble(t('That did not work: {0}.', value.error ?? answer.status));
    return answer.ok ? value : null;
  } catch {
    trouble(t('The simulator does not answer.'));
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
    h('span.track', { 'aria-hidden': 'true' }, h('span.knob', {})), h('span', { 'aria-hidden': 'true' }, on ? t('On') : t('Off')));
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
  if (lock.open) {
    const text = opening ? t('Open since {0}', time(opening.at_ms)) : t('Open');
    return { kind: 'open', sign: 'flash', text: lock.jammed ? t('{0}, bolt jammed', text) : text };
  }
  if (lock.jammed) return { kind: 'jammed', sign: 'warn', text: t('Jammed') };
  if (!cabinet.online) return { kind: 'offline', sign: 'off', text: t('Shut, offline') };
  return { kind: 'shut', sign: 'good', text: t('Shut') };
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
  const name = t('Door {0} of {1}', number, cabinet.name);
  return h('div.door', { key: number, 'data-state': state.kind, 'data-door': number },
    h('div.bay', {},
      h('div.shelves', { 'aria-hidden': 'true' }, shelves.map((shelf) => h('div.shelf', { key: shelf },
        behind.filter((line) => line.row === shelf).map((line) =>
          h('span.pile', { key: line.barcode, '--part': `${line.capacity > 0 ? Math.min(100, (100 * line.stock) / line.capacity) : 0}%`, '--count': String(Math.max(1, line.stock)), class: line.stock ? '' : 'gone' }))))),
      h('button.leaf', {
        type: 'button', 'aria-pressed': String(lock.open), onclick: door(cabinet.id, number, lock.open ? 'shut' : 'open'),
        'aria-label': lock.open ? t('{0}: {1}. Press to shut.', name, state.text) : t('{0}: {1}. Press to open.', name, state.text),
      }, h('span.plate', { 'aria-hidden': 'true' }, String(number)), h('span.handle', { 'aria-hidden': 'true' }),
      lock.jammed ? h('span.wedge', { 'aria-hidden': 'true' }, sign('warn')) : null)),
    h('p.state', {}, sign(state.sign), h('span', {}, state.text)),
    h('div.doordo', { role: 'group', 'aria-label': name },
      button(lock.open ? t('Shut') : t('Open'), door(cabinet.id, number, lock.open ? 'shut' : 'open'), { class: 'main' }),
      button(lock.jammed ? t('Free') : t('Jam'), door(cabinet.id, number, lock.jammed ? 'unjam' : 'jam'), { 'aria-pressed': String(lock.jammed) }),
      button(pieces ? t('Empty') : t('Fill'), door(cabinet.id, number, pieces ? 'empty' : 'fill'), { disabled: behind.length === 0 })));
}

// So many doors are drawn as doors; more are a wall of cells.
const DRAWN = 3;

const STATES = ['open', 'jammed', 'offline', 'shut'];
const stateName = (kind) => ({ open: t('Open'), jammed: t('Jammed'), offline: t('Offline'), shut: t('Shut') })[kind];

function wall(cabinet) {
  const states = cabinet.doors.map((lock, i) => doorState(cabinet, lock, lock.open ? lastOpening(cabinet.id, i + 1) : null));
  const stocked = new Set(cabinet.stock.filter((line) => line.stock > 0).map((line) => line.door));
  const has = new Set(cabinet.stock.map((line) => line.door));
  const chosen = Math.min(ui.cell[cabinet.id] ?? 0, cabinet.doors.length);
  const stop = chosen || 1;
  const counts = STATES.map((kind) => [kind, states.filter((s) => s.kind === kind).length]).filter(([, n]) => n > 0);
  const signs = { open: 'flash', jammed: 'warn', offline: 'off', shut: 'good' };
  return [
    h('ul.legend', {}, counts.map(([kind, n]) => h('li', { key: kind, 'data-state': kind }, sign(signs[kind]), h('span', {}, `${stateName(kind)} ${n}`)))),
    h('div.wall', { role: 'group', 'aria-label': t('Doors of {0}', cabinet.name), onkeydown: alongCells }, states.map((state, i) => {
      const number = i + 1;
      const goods = !has.has(number) ? null : stocked.has(number) ? t('stocked') : t('empty');
      return h('button.box', {
        key: number, type: 'button', 'data-state': state.kind, 'data-box': number, 'aria-pressed': String(number === chosen),
        tabindex: number === stop ? '0' : '-1', class: stocked.has(number) ? 'full' : '',
        'aria-label': [t('Door {0}', number), state.text, goods].filter(Boolean).join(', '),
        onclick: () => { ui.cell[cabinet.id] = number; draw('platform'); },
      }, h('span', { 'aria-hidden': 'true' }, String(number)), sign(state.sign));
    })),
    chosen ? boxDetails(cabinet, chosen, states[chosen - 1]) : none(t('Choose a door to see and to move it.')),
  ];
}

function boxDetails(cabinet, number, state) {
  const lock = cabinet.doors[number - 1];
  const behind = cabinet.stock.filter((line) => line.door === number);
  const pieces = behind.reduce((sum, line) => sum + line.stock, 0);
  const last = lastOpening(cabinet.id, number);
  const name = t('Door {0} of {1}', number, cabinet.name);
  return h('section.boxed', { key: 'box', 'data-state': state.kind, 'aria-label': name },
    h('h4', {}, t('Door {0}', number)), h('p.state', {}, sign(state.sign), h('span', {}, state.text)),
    behind.length ? h('p.facts', {}, behind.map((line, i) => h('span', { key: i }, `${good(line.barcode)} · ${line.stock} / ${line.capacity} · ${money(line.price)}`))) : h('p.facts', {}, h('span', {}, t('Nothing is kept here.'))),
    last ? h('p.last', {}, t('Opened {0} {1}', time(last.at_ms), causeOf(last))) : null,
    h('div.doordo', { role: 'group', 'aria-label': name },
      button(lock.open ? t('Shut') : t('Open'), door(cabinet.id, number, lock.open ? 'shut' : 'open'), { class: 'main' }),
      button(lock.jammed ? t('Free') : t('Jam'), door(cabinet.id, number, lock.jammed ? 'unjam' : 'jam'), { 'aria-pressed': String(lock.jammed) }),
      button(pieces ? t('Empty') : t('Fill'), door(cabinet.id, number, pieces ? 'empty' : 'fill'), { disabled: behind.length === 0 })));
}

// The arrow keys go from cell to cell, up and down too; Home and End to the ends.
function alongCells(event) {
  const cells = [...event.currentTarget.querySelectorAll('.box')];
  const at = cells.indexOf(event.target);
  if (at < 0) return;
  const columns = cells.filter((cell) => cell.offsetTop === cells[0].offsetTop).length;
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns, Home: 0, End: cells.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  cells[to]?.focus();
}

// What can be changed of a cabinet: its name, how many doors it has, and what its goods cost.
function editor(cabinet) {
  const draft = ui.draft;
  const set = (name) => (e) => { draft[name] = e.target.value; };
  const save = (event) => {
    event.preventDefault();
    const wanted = Math.max(1, Math.min(200, Math.round(Number(draft.doors ?? cabinet.doors.length)) || 1));
    const doors = Array.from({ length: wanted }, (_, i) => cabinet.doors[i] ?? {});
    const stock = cabinet.stock.map((line, i) => ({
      ...line, price: draft[`p${i}`] === undefined ? line.price : Math.round(Number(draft[`p${i}`]) * 100), door: Math.min(line.door, wanted),
    }));
    if (stock.some((line) => !Number.isFinite(line.price) || line.price < 0)) return trouble(t('A price is a number, like 2.50.'));
    ask('PATCH', `/cabinets/${segment(cabinet.id)}`, { name: draft.name ?? cabinet.name, doors, stock }).then((done) => {
      if (done) { ui.edit = null; draw('platform'); }
    });
  };
  const remove = () => { if (ui.draft.sure) { ui.edit = null; ask('DELETE', `/cabinets/${segment(cabinet.id)}`); } else { ui.draft.sure = true; draw('platform'); } };
  return h('form.editor', { key: 'edit', onsubmit: save, 'aria-label': t('Change {0}', cabinet.name) },
    h('label.grow', { key: 'name' }, h('span', {}, t('Name')), h('input', { 'data-edit': 'name', value: draft.name ?? cabinet.name, oninput: set('name') })),
    h('label.short', { key: 'doors' }, h('span', {}, t('Doors')), h('input', { 'data-edit': 'doors', type: 'number', min: '1', max: '200', inputmode: 'numeric', value: draft.doors ?? String(cabinet.doors.length), oninput: set('doors') })),
    cabinet.stock.map((line, i) => h('label.price', { key: `p${i}` }, h('span', {}, `${line.row}·${line.col} ${good(line.barcode)}`),
      h('input', { 'data-edit': `p${i}`, inputmode: 'decimal', value: draft[`p${i}`] ?? money(line.price), oninput: set(`p${i}`) }))),
    h('div.doordo', { key: 'do' }, h('button.main', { type: 'submit' }, t('Save')), button(t('Cancel'), () => { ui.edit = null; draw('platform'); }),
      button(draft.sure ? t('Sure? Press again') : t('Remove'), remove, { 'aria-label': t('Remove {0}', cabinet.name) })));
}

function addCabinet() {
  const taken = new Set(known.world.cabinets.map((c) => c.id));
  let number = known.world.cabinets.length + 1;
  const id = () => `5f6da2362201410011${String(number).padStart(6, '0')}`;
  while (taken.has(id())) number += 1;
  return ask('PATCH', '/world', { cabinets: [{ id: id(), name: t('Cabinet {0}', number), device_code: `A${String(number).padStart(3, '0')}`, doors: [{}, {}] }] });
}

function cabinetCard(cabinet) {
  const last = lastOpening(cabinet.id);
  const many = cabinet.doors.length > DRAWN;
  const editing = ui.edit === cabinet.id;
  const selling = cabinet.sell_status === 1 && cabinet.enable_sell;
  const times = cabinet.doors.reduce((sum, lock) => sum + lock.opened_times, 0);
  return h('article.machine', { key: cabinet.id, 'data-cabinet': cabinet.id, class: [cabinet.online ? '' : 'away', many ? 'walled' : ''].filter(Boolean).join(' '), 'aria-label': cabinet.name },
    h('header', {}, h('div', {}, h('h3', {}, cabinet.name), h('code.id', {}, cabinet.id)),
      h('div.badges', {}, cabinet.online ? badge('good', t('Online')) : badge('off', t('Offline')), selling ? null : badge('warn', t('Not selling')))),
    editing ? editor(cabinet) : null,
    many ? wall(cabinet) : h('div.case', { key: 'case', onkeydown: alongDoors, class: cabinet.doors.length > 1 ? 'wide' : '' }, cabinet.doors.map((_, i) => doorPicture(cabinet, i))),
    many ? null : h('table.lanes', { key: 'lanes' }, h('caption.unseen', {}, t('Stock of {0}', cabinet.name)),
      h('thead.unseen', {}, h('tr', {}, [t('Lane'), t('Goods'), t('Price'), t('Stock')].map((text) => h('th', { key: text, scope: 'col' }, text)))),
      h('tbody', {}, cabinet.stock.map((line, i) => h('tr', { key: i, class: line.stock ? '' : 'gone' },
        h('td.lane', {}, `${line.row}·${line.col}`), h('td.goods', {}, good(line.barcode)), h('td.price', {}, money(line.price)),
        h('td.stock', {}, meter(line.stock, line.capacity), h('span', {}, line.stock ? `${line.stock} / ${line.capacity}` : t('empty'))))))),
    h('footer', { key: 'foot' }, h('p.last', {}, last ? t('Door {0} opened {1} {2}', last.door, time(last.at_ms), causeOf(last)) : t('Not opened yet'), times > 1 ? ` · ${t('{0} times', times)}` : null),
      button(cabinet.online ? t('Take offline') : t('Bring online'), door(cabinet.id, 1, cabinet.online ? 'offline' : 'online'), { class: 'quiet' }),
      button(t('Change'), () => { ui.edit = editing ? null : cabinet.id; ui.draft = {}; draw('platform'); }, { class: 'quiet', 'aria-expanded': String(editing), 'aria-label': t('Change {0}', cabinet.name) })));
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

const stages = () => ({
  open: ['flash', t('door open')], recognising: ['wait', t('recognising')], review: ['wait', t('a person looks')], unpaid: ['warn', t('unpaid')],
  payment_failed: ['bad', t('payment failed')], paid: ['good', t('paid')], refund_asked: ['wait', t('refund asked')],
  refund_sent: ['wait', t('refund sent')], refunded: ['plain', t('refunded')], never_opened: ['bad', t('never opened')],
});
const stage = (name) => badge(...(stages()[name] ?? ['plain', name ?? t('unknown')]));

function yopoint() {
  const world = known.world;
  const mine = known.yopoint;
  const orders = [...mine.orders].reverse();
  const vended = [...mine.consumer_orders].reverse();
  const more = world.cabinet_count - world.cabinets.length;
  return [
    block(t('Cabinets'), world.cabinet_count, [h('div.machines', {}, world.cabinets.map(cabinetCard)),
      more > 0 ? none(t('{0} more are not drawn; /_sim/cabinets/ID knows them all.', more)) : null], button(t('Add a cabinet'), addCabinet, { class: 'quiet' })),
    block(t('Vending machines'), mine.terminals.length, h('div.machines', {}, mine.terminals.map((m) =>
      h('article.machine', { key: m.TID, 'aria-label': m.Name, class: m.OnlineStatus === 1 ? '' : 'away' },
        h('header', {}, h('div', {}, h('h3', {}, m.Name), h('code.id', {}, m.TID)),
          h('div.badges', {}, m.OnlineStatus === 1 ? badge('good', t('Online')) : badge('off', t('Offline')))),
        h('table.lanes', {}, h('caption.unseen', {}, t('Stock of {0}', m.Name)), h('tbody', {}, (m.Layout ?? []).map((lane, i) =>
          h('tr', { key: i, class: lane.Stock ? '' : 'gone' }, h('td.lane', {}, `${lane.Row}·${lane.Col}`), h('td.goods', {}, good(lane.BarCode)),
            h('td.stock', {}, h('span', {}, lane.Stock ? t('{0} pieces', lane.Stock) : t('empty'))))))),
        h('footer', {}, h('p.last', {}, t('Sells and reports by itself')),
          button(t('Sell one'), act('POST', '/yopoint/consumer_orders', { tid: m.TID }), { class: 'quiet', 'aria-label': t('Sell one from {0}', m.Name) })))))),
    block(t('Orders of cabinets'), orders.length, rows(orders, (o) => row(o.ReceiptNo, o.ReceiptNo, stage(o._sim?.stage), [
      placeName(o.CID), (o.Products ?? []).map((p) => `${p.Qty} × ${p.Name}`).join(', '), t('{0} yuan', money(o.Price)), time(o.CreateAt * 1000)]), t('No order yet.'))),
    block(t('Orders of vending machines'), vended.length, rows(vended, (o) => row(o.ReceiptNo, o.ReceiptNo,
      [stage(o._sim?.stage), o.ShipmentsStatus === 1 ? badge('good', t('given out')) : badge('bad', o.ShipmentsError || t('not given out'))],
      [o.ProductName, t('{0} yuan', money(o.Price)), time(o.CreateAt * 1000)]), t('No order yet.'))),
  ];
}

/* ---- Dingshang: machines with lanes --------------------------------------------------------------------------- */

const STUCK = 'Goods are Stuck';

function laneCell(machine, lane, index) {
  const path = `/dingshang/machines/${segment(machine.machine_no)}/lanes/${segment(lane.channel)}`;
  const next = lane.outcomes[0];
  const last = lastOpening(machine.machine_no, index + 1);
  const notes = [
    lane.status !== '1' ? badge('warn', t('motor {0}', lane.status), t('The status the machine reports of this motor')) : null,
    lane.on_sale ? null : badge('off', t('off sale')),
    next ? badge('warn', t('next: {0}', next.error || (next.silent ? t('silent') : t('success')))) : null,
    lane.reserved ? badge('wait', t('{0} promised', lane.reserved)) : null,
  ];
  return h('li.cell', { key: lane.channel, class: lane.stock ? '' : 'gone', 'data-lane': lane.channel },
    h('div.window', { '--part': `${lane.capacity > 0 ? Math.min(100, (100 * lane.stock) / lane.capacity) : 0}%`, '--count': String(Math.max(1, lane.stock)), 'aria-hidden': 'true' }, h('span.pieces', {})),
    h('p.celltop', {}, h('b', {}, lane.channel), h('span', {}, lane.stock ? `${lane.stock} / ${lane.capacity}` : t('empty'))),
    h('p.goods', {}, lane.name),
    ui.edit === machine.machine_no ? h('label.price', {}, h('span.unseen', {}, t('Price of lane {0}', lane.channel)), h('input', {
      inputmode: 'decimal', value: ui.draft[lane.channel] ?? money(lane.price), oninput: (e) => { ui.draft[lane.channel] = e.target.value; },
      onchange: (e) => { const fen = Math.round(Number(e.target.value) * 100); if (Number.isFinite(fen) && fen >= 0) ask('PATCH', path, { price: fen }); else trouble(t('A price is a number, like 2.50.')); },
    })) : h('p.price', {}, money(lane.price)),
    h('div.badges', {}, notes),
    last ? h('p.last', {}, t('fell {0} {1}', time(last.at_ms), causeOf(last))) : null,
    h('div.doordo', { role: 'group', 'aria-label': t('Lane {0} of {1}', lane.channel, machine.machine_name) },
      button(t('Drop'), act('POST', `${path}/drop`, {}), { class: 'main', disabled: lane.stock <= 0, 'aria-label': t('Drop a piece from lane {0}', lane.channel) }),
      button(next ? t('Free') : t('Jam'), act('PATCH', path, { outcomes: next ? [] : [{ error: STUCK }] }), { 'aria-pressed': String(Boolean(next)), title: t('What the motor does at the next command') }),
      button(lane.stock ? t('Empty') : t('Fill'), act('PATCH', path, { stock: lane.stock ? 0 : lane.capacity }))));
}

function machineCard(machine) {
  const path = `/dingshang/machines/${segment(machine.machine_no)}`;
  const busy = machine.lock && machine.lock.until_ms > nowMs();
  return h('article.machine.vending', { key: machine.machine_no, 'data-machine': machine.machine_no, class: machine.is_online ? '' : 'away', 'aria-label': machine.machine_name },
    h('header', {}, h('div', {}, h('h3', {}, machine.machine_name), h('code.id', {}, machine.machine_no)),
      h('div.badges', {}, machine.is_online ? badge('good', t('Online')) : badge('off', t('Offline')),
        machine.status ? null : badge('warn', t('Out of operation')), machine.pickup_codes ? null : badge('plain', t('No pickup codes')), busy ? badge('wait', t('Delivering')) : null)),
    machine.lanes.length ? h('ul.cells', {}, machine.lanes.map((lane, i) => laneCell(machine, lane, i))) : none(t('No lanes.')),
    h('footer', {}, button(t('Prices'), () => { ui.edit = ui.edit === machine.machine_no ? null : machine.machine_no; ui.draft = {}; draw('platform'); }, { class: 'quiet', 'aria-pressed': String(ui.edit === machine.machine_no), 'aria-label': t('Prices of {0}', machine.machine_name) }),
      button(machine.status ? t('Stop operation') : t('Put in operation'), act('PATCH', path, { status: !machine.status }), { class: 'quiet' }),
      button(machine.is_online ? t('Take offline') : t('Bring online'), act('PATCH', path, { is_online: !machine.is_online }), { class: 'quiet' })));
}

function dingshang() {
  const mine = known.dingshang;
  const now = nowMs();
  const lane = (c) => mine.machines.find((m) => m.machine_no === c.machine_no)?.lanes.find((l) => l.product_id === c.product_id);
  const outcome = (d) => {
    if (d.timed_out) return badge('bad', t('timed out'));
    if (d.finished_ms === null) return badge('wait', d.result_waits ? t('result waits, offline') : t('under way'));
    return d.outcome.error ? badge('bad', d.outcome.error) : badge('good', t('success'));
  };
  return [
    block(t('Machines'), mine.machines.length, h('div.machines.broad', {}, mine.machines.map(machineCard))),
    block(t('Pickup codes'), mine.codes.length, rows([...mine.codes].reverse(), (c) => h('li.row.ticket', { key: String(c.id) }, h('div.rowmain', {}, h('b.code', {}, c.code),
      c.used_by ? badge('plain', t('used')) : c.expires_ms !== null && c.expires_ms < now ? badge('bad', t('expired')) : badge('good', t('good'))),
    h('p.facts', {}, [placeName(c.machine_no), lane(c) ? `${lane(c).channel} ${lane(c).name}` : t('product {0}', c.product_id),
      c.used_by ? t('order {0}, {1}', c.used_by, time(c.used_ms)) : c.expires_ms === null ? t('never expires') : t('until {0}', time(c.expires_ms))].map((text, i) => h('span', { key: i }, text)))), t('No pickup code. The merchant makes them: codes_create, kl_code_create.'))),
    block(t('Orders'), mine.orders.length, rows([...mine.orders].reverse(), (o) => row(o.order_id, String(o.order_id),
      [badge('plain', o.status), ...o.records.map((r) => badge({ IS_SUCCESS: 'good', IS_PICKED_UP: 'good', IS_FAILED: 'bad', IS_TIMEOUT: 'bad' }[r.status] ?? 'wait', r.status))],
      [placeName(o.machine_no), o.trade_id, time(o.created_ms)]), t('No order yet.'))),
    block(t('Deliveries'), mine.deliveries.length, rows([...mine.deliveries].reverse(), (d) => row(d.delivery_id, d.delivery_id, outcome(d),
      [placeName(d.machine_no), t('lane {0}', d.channel), d.dropped ? (d.dropped === 1 ? t('1 piece fell') : t('{0} pieces fell', d.dropped)) : t('nothing fell'), time(d.at_ms)],
      d.finished_ms === null && !d.timed_out ? button(t('Report now'), act('POST', `/dingshang/deliveries/${segment(d.delivery_id)}/result`), { class: 'quiet' }) : null), t('No delivery yet.'))),
  ];
}

/* ---- Youzan: codes, vouchers, orders, tokens ------------------------------------------------------------------ */

function youzanCodes(order) {
  const codes = [];
  const used = (yes, ms) => (yes ? badge('plain', t('redeemed {0}', time(ms))) : badge('good', t('not redeemed')));
  if (order.pickup) codes.push([t('pickup code'), order.pickup.code, used(order.pickup.used, order.pickup.used_ms),
    order.pickup.total_count ? t('{0} of {1} periods', order.pickup.current_count, order.pickup.total_count) : null]);
  if (order.virtual_code) codes.push([t('virtual code'), order.virtual_code.code, used(order.virtual_code.used, order.virtual_code.used_ms), null]);
  for (const ticket of order.voucher?.tickets ?? []) {
    const late = ticket.expires_ms && ticket.expires_ms <= nowMs() && ticket.state === 'NOT_VERIFY';
    const words = { NOT_VERIFY: ['good', t('not redeemed')], VERIFIED: ['plain', t('redeemed {0}', time(ticket.used_ms))], EXPIRED: ['bad', t('expired')] };
    codes.push([t('voucher ticket'), ticket.ticket_code, badge(...(late ? words.EXPIRED : words[ticket.state] ?? ['warn', ticket.state])), null]);
  }
  return codes;
}

function youzan() {
  const mine = known.youzan;
  const now = nowMs();
  const point = (id) => mine.points.find((p) => p.id === id)?.name;
  const title = (id) => mine.items.find((i) => i.item_id === id)?.title ?? t('item {0}', id);
  const goods = (o) => o.lines.map((l) => `${l.num} × ${title(l.item_id)}`).join(', ');
  const codes = mine.orders.flatMap((o) => youzanCodes(o).map((code) => ({ order: o, code })));
  const token = (one) => {
    if (one.dies_ms <= now) return badge('bad', t('dead'));
    if (one.replaced) return badge('warn', t('replaced'));
    return badge('good', t('good for {0}', span(one.dies_ms - now)));
  };
  return [
    block(t('Codes and vouchers'), codes.length, codes.length ? h('ul.tickets', {}, codes.map(({ order, code: [kind, text, state, extra] }) =>
      h('li.ticket', { key: `${order.tid} ${text}` }, h('p.kind', {}, kind), h('p.code', {}, text), h('div.badges', {}, state),
        h('p.goods', {}, goods(order)), h('p.facts', {}, [point(order.point), order.fetcher_name, extra, order.status].filter(Boolean).map((text, i) => h('span', { key: i }, text)))))) : none(t('No code.'))),
    block(t('Access tokens'), mine.tokens.length, rows([...mine.tokens].reverse(), (one) => row(one.access_token, one.access_token, token(one),
      [t('client {0}', one.client_id), t('shop {0}', one.kdt_id), t('made {0}', time(one.issued_ms))],
      one.dies_ms > now ? button(t('Kill'), act('POST', '/youzan/tokens/kill', { access_token: one.access_token }), { class: 'quiet', 'aria-label': t('Kill the token made {0}', time(one.issued_ms)) }) : null),
    t('No token yet: the first call of a client asks for one.'))),
    block(t('Redemptions'), mine.redemptions.length, rows([...mine.redemptions].reverse(), (r) => row(r.number, r.code, badge('good', r.kind),
      [t('order {0}', r.tid), r.extra_info, r.cause.request ? t('request {0}', r.cause.request) : null, time(r.at_ms)]), t('Nothing redeemed yet.'))),
    block(t('Orders'), mine.orders.length, rows([...mine.orders].reverse(), (o) => row(o.tid, o.tid, [badge('plain', o.status), o.refund_state ? badge('warn', t('refund {0}', o.refund_state)) : null],
      [goods(o), t('{0} yuan', money(o.lines.reduce((sum, l) => sum + l.price * l.num, 0))), point(o.point), time(o.created_ms)]), t('No order.'))),
    block(t('Goods'), mine.items.length, h('div.plainlist', {}, h('table.lanes', {}, h('caption.unseen', {}, t('Goods of the shops')), h('tbody', {}, mine.items.map((item) =>
      h('tr', { key: item.item_id, class: item.quantity ? '' : 'gone' }, h('td.goods', {}, item.title), h('td.price', {}, money(item.price)),
        h('td.stock', {}, h('span', {}, item.quantity ? t('{0} left', item.quantity) : t('sold out')))))))), null),
  ];
}

/* ---- Zhiyun: users, tokens, codes ----------------------------------------------------------------------------- */

function zhiyun() {
  const mine = known.zhiyun;
  const now = nowMs();
  const user = (uid) => mine.users.find((u) => u.uid === uid);
  const life = (until) => (until <= now ? badge('bad', t('expired')) : badge('good', t('good for {0}', span(until - now))));
  return [
    block(t('Users'), mine.users.length, h('div.machines', {}, mine.users.map((u) => {
      const company = mine.companies.find((c) => c.id === u.company);
      return h('article.machine.person', { key: u.uid, 'aria-label': u.username },
        h('header', {}, h('div', {}, h('h3', {}, u.truename || u.username), h('code.id', {}, `${u.username} · uid ${u.uid}`)),
          h('div.badges', {}, u.is_admin === '1' ? badge('plain', t('Administrator')) : null)),
        h('p.facts', {}, [u.phone, company ? company.company_name : t('no company'), company ? company.tax_number : null].filter(Boolean).map((text, i) => h('span', { key: i }, text))));
    }))),
    block(t('Access tokens'), mine.tokens.length, rows([...mine.tokens].reverse(), (one) => row(one.access_token, one.access_token, life(one.expires_s * 1000),
      [user(one.uid) ? user(one.uid).truename : t('uid {0}, who is gone', one.uid)],
      one.expires_s * 1000 > now ? button(t('Expire'), act('POST', `/zhiyun/tokens/${segment(one.access_token)}/expire`), { class: 'quiet', 'aria-label': t('Expire the token {0}', one.access_token) }) : null), t('No token.'))),
    block(t('Authorisation codes'), mine.codes.length, rows([...mine.codes].reverse(), (c) => row(c.auth_code, c.auth_code, life((c.expires_s + 1) * 1000),
      [t('client {0}', c.client_id), user(c.uid) ? user(c.uid).truename : t('uid {0}', c.uid), c.scope],
      (c.expires_s + 1) * 1000 > now ? button(t('Expire'), act('POST', `/zhiyun/codes/${segment(c.auth_code)}/expire`), { class: 'quiet', 'aria-label': t('Expire the code {0}', c.auth_code) }) : null),
    t('No code yet. They are given out by authService/authorize and are good for 30 seconds.'))),
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
  if (s.ok) return h('p.fine', {}, sign('good'), h('span', {}, t('The signature is right. Signed: ')), h('code', {}, s.base));
  const [given, expected] = compare(String(s.given ?? ''), String(s.expected ?? ''));
  const parts = [h('p.differs', {}, sign('bad'), h('span', {}, t('Wrong signature: ')), h('strong', {}, s.differs))];
  if (s.signed) {
    const [was, should] = compare(s.signed, s.base);
    parts.push(h('dl.compare', {}, h('dt', {}, t('Text that was signed')), h('dd.was', {}, shown(was)), h('dt', {}, t('Text that must be signed')), h('dd.should', {}, shown(should))));
  } else {
    parts.push(h('dl.compare', {}, h('dt', {}, t('Text that must be signed')), h('dd.should', {}, s.base)));
  }
  const hashes = s.given && s.expected && String(s.given).toLowerCase() !== String(s.expected).toLowerCase();
  parts.push(h('dl.compare', {}, h('dt', {}, t('Sign given')), h('dd.was', {}, hashes ? h('mark', {}, s.given) : s.given ? shown(given) : t('none')),
    h('dt', {}, t('Sign expected')), h('dd.should', {}, hashes ? h('mark', {}, s.expected) : shown(expected))));
  return parts;
}

function pretty(text) {
  if (typeof text !== 'string') return text === null || text === undefined ? t('none') : JSON.stringify(text, null, 1);
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

// What the request did, whether its answer came through, and what the platform said.
function outcomeOf(entry) {
  const said = [];
  for (const act of entry.did ?? []) {
    if (act.kind === 'open_door') said.push(t('Door {0} of {1} opened', act.door, placeName(act.cabinet)));
    else if (act.kind === 'dispense') said.push(t('A piece fell from lane {0} of {1}', act.lane, placeName(act.cabinet)));
    else said.push(`${actName(act.kind)}${act.code ? ` ${act.code}` : ''}`);
    if (act.order && !said.includes(act.order)) said.push(act.order);
  }
  if (entry.lost) said.push(t('never arrived'));
  const sent = entry.answer?.sent;
  if (sent === 'nothing' && !entry.late) said.push(t('answer lost'));
  if (sent === 'part') said.push(t('answer cut off'));
  if (entry.late) said.push(t('acted on only now'));
  const { code, text } = entry.answer ?? {};
  if (code !== undefined && code !== null && String(code) !== '0' && code !== 200) said.push(text ? `${code} ${text}` : String(code));
  return said;
}

const actName = (kind) => ({
  redeem: t('redeemed'), order: t('order made'), pay: t('paid'), pay_failed: t('payment failed'), cancel: t('cancelled'),
  refund_apply: t('refund asked'), refund: t('refunded'), appeal: t('appeal filed'), code_create: t('code made'), code_cancel: t('code cancelled'),
})[kind] ?? kind;

function requestRow(entry) {
  const open = ui.open.has(entry.number);
  const s = entry.signature;
  const judged = s && typeof s === 'object' && s.ok !== undefined;
  const dropped = entry.faults.length > 0;
  const outcome = outcomeOf(entry);
  return h('li.request', { key: `${entry.number}${entry.late ? ' late' : ''}`, 'data-number': entry.number, class: judged && !s.ok ? 'wrong' : '' },
    h('button.summary', { type: 'button', 'aria-expanded': String(open), onclick: () => { open ? ui.open.delete(entry.number) : ui.open.add(entry.number); draw('view'); } },
      h('span.no', {}, String(entry.number)), h('span.when', {}, time(entry.at_ms)), h('span.what', {}, h('b', {}, entry.method || entry.path), h('small', {}, NAMES[entry.platform])),
      h('span.badges', {}, judged ? (s.ok ? badge('good', t('signed')) : badge('bad', t('wrong signature'))) : null,
        dropped ? badge('flash', entry.faults.join(', ')) : null, entry.acted ? null : badge('off', t('not acted on')), entry.answer ? h('span.status', {}, `HTTP ${entry.answer.status}`) : null),
      outcome.length ? h('span.outcome', {}, outcome.join(' · ')) : null),
    open ? h('div.details', {}, signature(entry),
      h('div.rowdo', {}, button(t('Story'), () => openStory(entry.number), { class: 'quiet', 'aria-label': t('Story of request {0}', entry.number) })),
      h('p.facts', {}, [`${entry.http_method} ${entry.path}`, entry.content_type, t('connection {0}', entry.connection), entry.tls ? 'TLS' : t('plain HTTP'), entry.answer ? t('{0} bytes', entry.answer.length) : null].filter(Boolean).map((text, i) => h('span', { key: i }, text))),
      h('h3', {}, t('Parameters')), h('pre', { tabindex: '0' }, pretty(entry.params ?? entry.said)), h('h3', {}, t('Answer')), h('pre', { tabindex: '0' }, pretty(entry.answer?.body))) : null);
}

function requestsView() {
  const wrong = (e) => e.signature && e.signature.ok === false;
  const list = known.requests.filter((e) => (!ui.filter || e.platform === ui.filter) && (!ui.refused || wrong(e)));
  const recent = list.slice(-100).reverse();
  return [h('div.bar', { key: 'bar' },
    h('label', {}, h('span', {}, t('Platform')), h('select', { onchange: (e) => { ui.filter = e.target.value; draw('view'); } },
      h('option', { value: '' }, t('all')), Object.entries(NAMES).map(([id, name]) => h('option', { key: id, value: id }, name)))),
    h('label.check', {}, h('input', { type: 'checkbox', onchange: (e) => { ui.refused = e.target.checked; draw('view'); } }), h('span', {}, t('Wrong signatures only'))),
    button(t('Clear log'), act('DELETE', '/requests'), { class: 'quiet' })),
  recent.length ? h('ol.requests', { key: 'list' }, recent.map(requestRow)) : none(known.requests.length ? t('No request fits.') : t('No request yet. Point a client at the address above.'))];
}

/* ---- The story of one command --------------------------------------------------------------------------------- */

function openStory(number) {
  ui.story = number;
  ui.view = 'story';
  known.story = null;
  loadStory();
  draw('view');
  byId('view').focus();
}

async function loadStory() {
  if (ui.story === null) return;
  const wanted = ui.story;
  const story = await ask('GET', `/story?request=${wanted}`);
  if (story && ui.story === wanted) {
    known.story = story;
    draw('view');
  }
}

// A sign, a word, and what happened, for one moment.
function momentParts(m) {
  const faults = m.faults?.length ? ` [${m.faults.join(', ')}]` : '';
  const where = () => whichDoor(m);
  switch (m.kind) {
    case 'received': return [m.acted ? 'plain' : 'off', t('received'), t('request {0}, {1}', m.request, m.operation) + (m.acted ? '' : `, ${t('not acted on')}`) + faults];
    case 'asked': return ['wait', t('asked'), t('request {0}, {1}', m.request, m.operation) + faults];
    case 'acted_late': return ['flash', t('received'), t('request {0}, {1}', m.request, m.operation) + `, ${t('acted on only now')}`];
    case 'never_arrived': return ['bad', t('lost'), t('request {0}, {1}', m.request, m.operation) + `, ${t('never arrived')}`];
    case 'answer_lost': return ['bad', t('lost'), t('the answer to request {0}', m.request) + faults];
    case 'answer_cut': return ['bad', t('lost'), t('a part of the answer to request {0}', m.request) + faults];
    case 'answered': return ['good', t('answer'), [t('to request {0}', m.request), `HTTP ${m.status}`, m.code, m.text].filter((x) => x !== null && x !== undefined && x !== '').join(' ')];
    case 'opened': return ['flash', t('door'), t('{0} opened {1}.', where(), causeOf({ cause: m }))];
    case 'shut': return ['good', t('door'), t('{0} shut.', where())];
    case 'fell': return ['flash', t('door'), t('A piece fell from lane {0} of {1}', m.lane, placeName(m.cabinet))];
    case 'callback': {
      const how = m.status && !m.error ? t('taken') : m.error ? `${t('not taken')}: ${m.error}` : { no_url: t('no address'), dropped: t('lost') }[m.progress] ?? t('waits');
      return [m.status && !m.error ? 'good' : 'warn', t('callback'), `${m.callback} ${m.method}: ${how}`];
    }
    default: return ['plain', t('booked'), [actName(m.act ?? m.kind), m.code, m.order, m.by === 'other' ? t('by somebody else') : null].filter(Boolean).join(' ')];
  }
}

const after = (ms) => (Math.abs(ms) < 60000 ? `+${(ms / 1000).toFixed(3)} s` : `+${span(ms)}`);

function storyText(story) {
  const first = story.moments[0]?.at_ms ?? 0;
  const lines = story.moments.map((m) => {
    const [, word, text] = momentParts(m);
    return `${shortDay(m.at_ms)} ${clockForm.format(m.at_ms)}  ${after(m.at_ms - first).padStart(10)}  ${word}  ${text}`;
  });
  const names = [...story.orders, ...story.marks].join(', ');
  return [t('The story of request {0}', ui.story), names, ...lines].filter(Boolean).join('\n');
}

function storyView() {
  if (ui.story === null) return none(t('Choose a request in the log, or an opening, to see the story of its command.'));
  const story = known.story;
  if (!story) return none(t('Waiting for the simulator …'));
  const first = story.moments[0]?.at_ms ?? 0;
  return [
    h('div.blockhead', { key: 'head' }, h('h3', {}, t('The story of request {0}', ui.story)), button(t('Copy'), () => {
      navigator.clipboard?.writeText(storyText(story)).then(() => { byId('said').textContent = t('Copied.'); }, () => trouble(t('It cannot be copied here.')));
    }, { class: 'quiet', 'aria-label': t('Copy the story as text') })),
    h('p.facts', { key: 'names' }, [...story.orders.map((o) => t('order {0}', o)), ...story.marks.map((m) => t('mark {0}', m)), story.code ? t('code {0}', story.code) : null].filter(Boolean).map((text, i) => h('span', { key: i }, text))),
    story.moments.length ? h('ol.story', { key: 'line' }, story.moments.map((m, i) => {
      const [kind, word, text] = momentParts(m);
      return h('li', { key: i, 'data-kind': m.kind, class: kind }, h('span.when', {}, time(m.at_ms)), h('span.after', {}, after(m.at_ms - first)), badge(kind, word), h('span.what', {}, text));
    })) : none(t('Nothing is known of it.')),
    none(t('The firmware’s side of it is in its journal: kiosklink story REQUEST_ID --simulator {0}', location.origin)),
  ];
}

/* ---- Faults --------------------------------------------------------------------------------------------------- */

function scopeText(rule) {
  const where = [rule.platform ? NAMES[rule.platform] ?? rule.platform : null, rule.method].filter(Boolean).join(' ') || t('any request');
  const left = rule.left === null ? t('until switched off') : rule.left === 0 ? t('used up') : t('{0} more', rule.left);
  return [where, rule.skip ? t('lets {0} pass first', rule.skip) : null, left, rule.applied === 1 ? t('applied 1 time') : t('applied {0} times', rule.applied)];
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
    h('div.faulttext', {}, h('p', {}, h('b', {}, fault.name)), h('p.about', {}, t(fault.about))),
    button(t('Settings'), () => { open ? ui.open.delete(fault.name) : ui.open.add(fault.name); draw('view'); }, { class: 'quiet', 'aria-expanded': String(open), 'aria-label': t('Settings of {0}', fault.name) }),
    switchButton(on, t('Fault {0}: {1}', fault.name, t(fault.about)), toggle),
    open ? h('div.params', {}, params.map(([name, preset]) => h('label', { key: name }, h('span', {}, name),
      typeof preset === 'boolean'
        ? h('input', { type: 'checkbox', checked: ui.params[`${fault.name} ${name}`] ?? preset, onchange: (e) => { ui.params[`${fault.name} ${name}`] = e.target.checked; } })
        : h('input', { type: typeof preset === 'number' ? 'number' : 'text', placeholder: plain(preset), oninput: (e) => { ui.params[`${fault.name} ${name}`] = e.target.value === '' ? undefined : e.target.value; } })))) : null);
}

// One switch a platform: its answers are then worded as a vendor could word them and has not yet.
function dialectBox() {
  const on = known.dialects?.on ?? {};
  return h('section.dialects', { key: 'dialects', 'aria-label': t('Dialects') },
    h('div.faulttext', {}, h('p', {}, h('b', {}, t('Dialects'))), h('p.about', {}, t('What a vendor could say inside its notes and has not said yet: other words, shapes, times and headers, drawn by dice.'))),
    h('label', {}, h('span', {}, t('Share')), h('input', { id: 'dialect-share', type: 'number', min: '0', max: '1', step: '0.05', value: '0.25', inputmode: 'decimal', oninput: (e) => { ui.dialect.share = e.target.value; } })),
    h('label', {}, h('span', {}, t('Seed')), h('input', { id: 'dialect-seed', type: 'number', min: '0', step: '1', value: '1', inputmode: 'numeric', oninput: (e) => { ui.dialect.seed = e.target.value; } })),
    h('ul.dialectlist', {}, Object.entries(NAMES).map(([id, name]) => {
      const mine = on[id];
      const met = mine ? Object.values(mine.met).reduce((sum, n) => sum + n, 0) : 0;
      return h('li', { key: id, 'data-dialect': id }, h('span', {}, name), h('small', {}, mine ? t('seed {0}, {1} in 100: {2} of {3} answers so far', mine.seed, Math.round(mine.share * 100), met, mine.asked) : t('plain')),
        switchButton(Boolean(mine), t('Dialect of {0}', name), () => ask('POST', '/dialect', { platform: id, seed: Number(ui.dialect.seed) || 0, share: mine ? 0 : Number(ui.dialect.share) || 0 })));
    })));
}

function faultsView() {
  const random = known.faults.random;
  const find = ui.find.trim().toLowerCase();
  const list = known.catalogue.filter((f) => !find || f.name.includes(find) || t(f.about).toLowerCase().includes(find));
  const methods = [...new Set(known.requests.map((e) => e.method).filter(Boolean))].sort();
  const rules = [...known.faults.rules].reverse();
  const set = (name) => (e) => { ui.scope[name] = e.target.value; };
  return [
    h('form.bar.scope', { key: 'scope', onsubmit: (e) => e.preventDefault(), 'aria-label': t('Which requests a fault meets') },
      h('label', {}, h('span', {}, t('Platform')), h('select', { id: 'fault-platform', onchange: set('platform') }, h('option', { value: '' }, t('any')),
        Object.entries(NAMES).map(([id, name]) => h('option', { key: id, value: id }, name)))),
      h('label.grow', {}, h('span', {}, t('Operation')), h('input', { id: 'fault-method', list: 'methods', placeholder: t('any'), autocomplete: 'off', spellcheck: 'false', oninput: set('method') })),
      h('label', {}, h('span', {}, t('How often')), h('select', { id: 'fault-count', onchange: set('count') }, ['1', '2', '3', '10'].map((n) => h('option', { key: n, value: n }, n === '1' ? t('once') : t('{0} times', n))), h('option', { key: 'ever', value: '' }, t('until off')))),
      h('label.short', {}, h('span', {}, t('Let pass')), h('input', { type: 'number', min: '0', value: '0', inputmode: 'numeric', oninput: set('skip') })),
      h('datalist', { id: 'methods' }, methods.map((m) => h('option', { key: m, value: m })))),
    rules.length ? h('section.force', { key: 'force', 'aria-label': t('Faults in force') }, h('div.blockhead', {}, h('h3', {}, t('Rules')), h('span.count', {}, String(rules.length)), button(t('Remove all'), act('DELETE', '/faults'), { class: 'quiet' })),
      h('ul.rows', {}, rules.map((r) => row(r.id, r.faults.map((f) => f.fault).join(' + '), r.left === 0 ? badge('plain', t('used up')) : badge('flash', t('in force')), scopeText(r),
        button(t('Remove'), act('DELETE', `/faults/${r.id}`), { class: 'quiet', 'aria-label': t('Remove rule {0}', r.id) }))))) : null,
    h('form.dice', { key: 'dice', onsubmit: (e) => e.preventDefault(), class: random ? 'on' : '' },
      h('div.faulttext', {}, h('p', {}, h('b', {}, t('At random'))), h('p.about', {}, random
        ? t('Seed {0}, {1} in 100: {2} of {3} requests so far.', random.seed, Math.round(random.probability * 100), random.applied, random.decided)
        : t('All faults, by dice. The same seed and the same requests give the same faults.'))),
      h('label', {}, h('span', {}, t('Probability')), h('input', { id: 'dice-probability', type: 'number', min: '0', max: '1', step: '0.05', value: '0.2', inputmode: 'decimal', oninput: (e) => { ui.dice.probability = e.target.value; } })),
      h('label', {}, h('span', {}, t('Seed')), h('input', { id: 'dice-seed', type: 'number', min: '0', step: '1', value: '1', inputmode: 'numeric', oninput: (e) => { ui.dice.seed = e.target.value; } })),
      switchButton(Boolean(random), t('Faults at random'), () => ask('POST', '/faults', {
        random: random ? null : { probability: Number(ui.dice.probability), seed: Number(ui.dice.seed), platform: ui.scope.platform || undefined, method: ui.scope.method.trim() || undefined },
      }), { id: 'dice-switch' })),
    dialectBox(),
    h('label.search', { key: 'find' }, h('span', {}, t('Find a fault')), h('input', { type: 'search', oninput: (e) => { ui.find = e.target.value; draw('view'); } })),
    h('ul.faults', { key: 'all' }, list.map(faultRow)),
  ];
}

/* ---- Callbacks and openings ----------------------------------------------------------------------------------- */

function callbacksView() {
  const all = known.callbacks;
  const progress = { queued: t('queued'), sending: t('sending'), delivered: t('delivered'), failed: t('failed'), no_url: t('no address'), dropped: t('lost') };
  const save = (event) => {
    event.preventDefault();
    ask('POST', '/callbacks', { platform: ui.target.platform, url: ui.target.url.trim() || null });
  };
  const kinds = { delivered: 'good', failed: 'bad', no_url: 'off', dropped: 'off' };
  return [
    h('form.bar', { key: 'address', onsubmit: save, 'aria-label': t('Where callbacks go') },
      h('label', {}, h('span', {}, t('Platform')), h('select', { id: 'target-platform', onchange: (e) => { ui.target.platform = e.target.value; draw('view'); } }, CALLBACKS_OF.map((id) => h('option', { key: id, value: id }, NAMES[id])))),
      h('label.grow', {}, h('span', {}, t('Address, on this computer')), h('input', { id: 'target-url', type: 'url', inputmode: 'url', autocomplete: 'off', spellcheck: 'false', placeholder: 'http://127.0.0.1:8080/', oninput: (e) => { ui.target.url = e.target.value; } })),
      h('button.quiet', { type: 'submit', id: 'target-set' }, t('Set')),
      button(t('Remove'), () => ask('POST', '/callbacks', { platform: ui.target.platform, url: null }), { class: 'quiet', 'aria-label': t('Remove the address of {0}', NAMES[ui.target.platform]) })),
    all.targets.length ? h('p.facts', { key: 'targets' }, all.targets.map((to, i) => h('span', { key: i }, `${NAMES[to.platform] ?? to.platform} ${to.channel} → ${to.url}`)))
      : none(t('No address is set.')),
    rows([...all.list].reverse(), (d) => row(d.id, `${d.id} ${d.method}`, [badge(kinds[d.progress] ?? 'wait', progress[d.progress] ?? d.progress), d.forge ? badge('warn', t('forged')) : null],
      [NAMES[d.platform] ?? d.platform, d.receipt, d.url, d.attempts.length === 1 ? t('1 attempt') : d.attempts.length ? t('{0} attempts', d.attempts.length) : null, d.attempts.at(-1)?.error, time(d.due_ms)],
      [button(t('Send again'), act('POST', `/callbacks/${d.id}/resend`, {}), { class: 'quiet', 'aria-label': t('Send again: callback {0}', d.id) }),
        button(t('Forge'), act('POST', `/callbacks/${d.id}/resend`, { forge: true }), { class: 'quiet', 'aria-label': t('Forge: a copy of callback {0} with a wrong signature', d.id) })]), t('No callback yet.')),
  ];
}

const CALLBACKS_OF = ['yopoint', 'dingshang', 'youzan'];

function openingsView() {
  return rows([...known.openings.list].reverse(), (o) => h('li.row', { key: String(o.number), 'data-opening': o.number },
    h('div.rowmain', {}, h('b', {}, whichDoor(o)),
      o.lane ? badge('plain', t('a piece fell')) : o.shut_ms === null ? badge('flash', t('open')) : badge('good', t('shut after {0}', span(o.shut_ms - o.at_ms)))),
    h('p.facts', {}, [time(o.at_ms), causeOf(o), o.cause.receipt, o.cause.trade_no ? t('trade {0}', o.cause.trade_no) : null].filter(Boolean).map((text, i) => h('span', { key: i }, text))),
  o.cause.request ? h('div.rowdo', {}, button(t('Story'), () => openStory(o.cause.request), { class: 'quiet', 'aria-label': t('Story of request {0}', o.cause.request) })) : null),
  t('No door has opened yet.'));
}

const VIEWS = { requests: requestsView, faults: faultsView, callbacks: callbacksView, openings: openingsView, story: storyView };
const viewName = (id) => ({ requests: t('Requests'), faults: t('Faults'), callbacks: t('Callbacks'), openings: t('Openings'), story: t('Story') })[id];

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
    byId('date').textContent = known.clock ? dayForm(nowMs()) : '';
    const off = known.clock ? Math.round(known.clock.offset_ms / 1000) : 0;
    const pace = !known.clock ? '' : known.clock.frozen ? t('The clock stands still') : Math.abs(off) < 2 ? t('The platforms’ clock')
      : off > 0 ? t('{0} ahead of this computer', span(off * 1000)) : t('{0} behind this computer', span(-off * 1000));
    if (byId('pace').textContent !== pace) byId('pace').textContent = pace;
  },
  tools() {
    const frozen = Boolean(known.clock?.frozen);
    fill(byId('tools'), [
      button(t('+5 s'), act('POST', '/clock/advance', { ms: 5000 }), { key: 'a', 'aria-label': t('+5 s: let five seconds pass') }),
      button(t('+1 min'), act('POST', '/clock/advance', { ms: 60000 }), { key: 'b', 'aria-label': t('+1 min: let a minute pass') }),
      button(frozen ? t('Let it run') : t('Freeze'), act('POST', '/clock', { freeze: !frozen }), { key: 'c', 'aria-label': frozen ? t('Let it run: the clock goes on') : t('Freeze the clock') }),
      button(ui.reset ? t('Sure? Press again') : t('Reset'), () => {
        clearTimeout(ui.reset);
        if (ui.reset) {
          ui.reset = 0;
          ask('POST', '/reset');
        } else {
          ui.reset = setTimeout(() => { ui.reset = 0; draw('tools'); }, 4000);
        }
        draw('tools');
      }, { key: 'd', class: ui.reset ? 'danger' : '', 'aria-label': ui.reset ? t('Sure? Press again: everything goes back to the start') : t('Reset: everything back to the start') }),
    ]);
  },
  platform() {
    tabs(byId('platforms'), byId('platform'), Object.entries(NAMES), ui.platform, (id) => { ui.platform = id; draw('platform'); });
    const ready = known.world && known.openings && known[ui.platform];
    fill(byId('platform'), ready ? h('div.sheet', { key: ui.platform }, PLATFORMS[ui.platform]()) : none(t('Waiting for the simulator …')));
  },
  view() {
    const wrong = known.requests.filter((e) => e.signature?.ok === false).length;
    const inForce = (known.faults?.rules.filter((r) => r.left !== 0).length ?? 0) + (known.faults?.random ? 1 : 0);
    const counts = { requests: wrong ? t('{0} wrong', wrong) : 0, faults: inForce ? t('{0} on', inForce) : 0 };
    tabs(byId('views'), byId('view'), Object.keys(VIEWS).map((id) => [id, viewName(id), counts[id]]), ui.view, (id) => { ui.view = id; draw('view'); });
    const ready = known.faults && known.callbacks && known.openings;
    fill(byId('view'), ready ? h('div.sheet', { key: ui.view }, VIEWS[ui.view]()) : none(t('Waiting for the simulator …')));
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
  byId('said').textContent = fresh.map((o) => t('{0} opened {1}.', whichDoor(o), causeOf(o))).join(' ');
}

const HEAR = {
  clock(data) {
    known.clock = { ...data, seen: performance.now() };
    draw('top', 'tools');
  },
  world(data) { known.world = data; draw('platform', 'view'); },
  dialects(data) { known.dialects = data; draw('view'); },
  openings(data) { announce(data); known.openings = data; draw('platform', 'view'); if (ui.view === 'story') loadStory(); },
  faults(data) { known.faults = data; draw('view'); },
  callbacks(data) { known.callbacks = data; draw('view'); if (ui.view === 'story') loadStory(); },
  requests(data) {
    known.requests = [...(data.fresh ? [] : known.requests), ...data.list].slice(-1000);
    if (data.fresh) for (const n of [...ui.open]) if (!data.list.some((e) => e.number === n) && typeof n === 'number') ui.open.delete(n);
    if (ui.view === 'story') loadStory();
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
      link('live', t('Live'));
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
  link('lost', t('Connection lost. Trying again …'));
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
    link('wait', t('Paused'));
  } else if (!source) {
    link('wait', t('Connecting …'));
    connect();
  }
});

// The texts of the page itself, and everything that is drawn.
function speak() {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  document.title = t('kiosklink simulator');
  for (const node of document.querySelectorAll('[data-t]')) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll('[data-t-label]')) node.setAttribute('aria-label', t(node.dataset.tLabel));
  const state = byId('link').dataset.link;
  byId('link').textContent = state === 'live' ? t('Live') : state === 'lost' ? t('Connection lost. Trying again …') : t('Connecting …');
  byId('language').value = language;
  draw('top', 'tools', 'platform', 'view');
}

byId('language').onchange = (event) => {
  language = event.target.value === 'zh' ? 'zh' : 'en';
  try { localStorage.setItem('language', language); } catch { /* Then it is chosen anew the next time. */ }
  speak();
};

speak();
connect();
