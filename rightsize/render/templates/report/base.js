// What the other parts share: the data, its indexes, and makers of elements. Text only ever becomes a text node.
const data = JSON.parse(document.getElementById('data').textContent);
const dialog = document.getElementById('detail');
const STATES = ['active', 'eligible', 'activated'];
const VERDICTS = ['used', 'unused', 'unobservable', 'out_of_coverage'];
const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === 'onclick' || name === 'oninput' || name === 'onchange') node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const number = (value) => whole.format(value);
const words = (text) => String(text || '').replaceAll('_', ' ');
const kindOf = (type) => (type || '').replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
function short(value) {
  for (const [size, unit] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (value >= size) return `${(value / size).toFixed(value / size < 10 ? 1 : 0)} ${unit}`;
  }
  return number(value);
}
const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many || `${one}s`}`;
const chance = ([share, most]) => `${(100 * share).toFixed(1)} %${most === null ? '' : ` (≤ ${(100 * most).toFixed(1)} %)`}`;
function day(offset) {
  if (offset === null) return '';
  return new Date(Date.parse(data.window[0]) + offset * 86400000).toISOString().slice(0, 10);
}

// The names in a scope without the fixed words, at most the last three: as people say it.
function place(scopeNumber) {
  const scope = data.scopeIds[scopeNumber];
  const parts = scope.split('/').filter(Boolean);
  if (!parts.length) return '/';
  if (parts.length > 1 && parts[0].toLowerCase() === 'subscriptions') {
    const head = data.scopeNames[`/${parts[0]}/${parts[1]}`.toLowerCase()] || parts[1].slice(-8);
    const named = parts.length > 3 ? [parts[3], ...parts.slice(7).filter((_, at) => at % 2 === 0)] : [];
    return [head, ...named].slice(-3).join('/');
  }
  return data.scopeNames[scope.toLowerCase()] || parts.at(-1);
}

// Indexes are made when they are first asked for.
const made = new Map();
function index(name, column) {
  if (!made.has(name)) {
    const found = new Map();
    column().forEach((value, row) => {
      if (value === null) return;
      const rows = found.get(value);
      if (rows) rows.push(row); else found.set(value, [row]);
    });
    made.set(name, found);
  }
  return (key) => made.get(name).get(key) || [];
}
const assignmentsOf = (principal) => index('assignment by principal', () => data.assignments.principal)(principal);
const assignmentsWith = (role) => index('assignment by role', () => data.assignments.role)(role);
const assignmentsAt = (scope) => index('assignment by scope', () => data.assignments.scope)(scope);
const usesOf = (assignment) => index('use by assignment', () => data.uses.assignment)(assignment);
const usesBy = (principal) => index('use by principal', () => data.uses.principal)(principal);
const unexplainedOf = (principal) => index('unexplained by principal', () => data.unexplained.principal)(principal);
const findingsOf = (principal) => index('finding by principal', () => data.findings.principal)(principal);
const holdersOf = (principal) => index('holder', () => data.reached.principal)(principal).map((row) => data.reached.holder[row]);
const membersOf = (group) => index('member', () => data.reached.holder)(group).map((row) => data.reached.principal[row]);
const providersOf = (role) => index('provider', () => data.providers.role)(role);
const proposals = data.proposals || [];
const proposalsFor = (assignment) => index('proposal', () => proposals.map((one) => one[2]))(assignment);

const here = location.href.split('#')[0];
const reference = (kind, key) => `${here}#${kind}=${encodeURIComponent(key)}`;
const link = (kind, key, text) => h('a', { href: reference(kind, key) }, text);
const principalLink = (i) => link('principal', data.principals.id[i], data.principals.name[i]);
const roleLink = (i) => link('role', data.roles.id[i], data.roles.name[i]);
const scopeLink = (i) => link('scope', data.scopeIds[i], place(i));
const assignmentKey = (i) => `${data.assignments.id[i]} ${STATES[data.assignments.state[i]]}`;
// On a phone each row is a list of its cells, with the head of the column before each but the first.
function stack(table) {
  if (!table.tHead || table.matches('.stack, .dots')) return table;
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.replace(/ [↓↑]$/, ''));
  table.classList.add('stack');
  for (const row of table.tBodies[0].rows) [...row.cells].forEach((cell, at) => { if (at) cell.dataset.label = heads[at]; });
  return table;
}
const chip = (kind) => h('span', { class: `chip ${kind}` }, words(kind));
