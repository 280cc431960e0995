// Tables of any length: search, filters, order, and a page of rows at a time.
const PAGE = matchMedia('(max-width: 40rem)').matches ? 10 : 20;
const NAMED = 1;

class Explorer {
  // kind: {label, rows, columns: [{name, label, value, cell, isNumber}], text, filters: [{label, value}], order, down}
  constructor(host, kind) {
    this.host = host;
    this.kind = kind;
    this.page = 0;
    this.size = PAGE;
    this.order = kind.order;
    this.down = kind.down;
    this.chosen = kind.filters.map(() => '');
    this.texts = null;
    this.search = h('input', { type: 'search', oninput: () => this.again() });
    this.status = h('span', { class: 'small soft', role: 'status' });
    this.table = h('table', null);
    this.back = h('button', { type: 'button', onclick: () => this.turn(-1) }, 'Previous');
    this.next = h('button', { type: 'button', onclick: () => this.turn(1) }, 'Next');
    this.more = h('div', { class: 'more' }, this.back, this.next);
    this.cut = h('p', { class: 'cut small soft' });
    host.classList.add('paged');
    host.replaceChildren(
      h('div', { class: 'tools' }, h('label', null, 'Search', this.search), kind.filters.map((one, at) => this.filter(one, at)), this.status),
      h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': `${kind.label} as a table` }, this.table), this.cut, this.more);
    this.again();
  }

  filter(one, at) {
    const values = [...new Set(this.kind.rows.map(one.value))].filter((value) => value).sort();
    if (values.length < 2) return null;
    const options = [h('option', { value: '' }, 'all'), values.map((value) => h('option', { value }, words(value)))];
    const select = h('select', { onchange: (event) => { this.chosen[at] = event.target.value; this.again(); } }, options);
    return h('label', null, `${one.label} `, select);
  }

  matching(wanted) {
    if (!wanted) return this.kind.rows;
    this.texts ||= this.kind.rows.map((row) => this.kind.text(row).toLowerCase());
    return this.kind.rows.filter((_, at) => this.texts[at].includes(wanted));
  }

  again() {
    const isChosen = (row) => this.kind.filters.every((one, which) => !this.chosen[which] || one.value(row) === this.chosen[which]);
    this.found = this.matching(this.search.value.trim().toLowerCase()).filter(isChosen);
    this.sort();
  }

  narrow(text) { this.search.value = text; this.again(); }

  show(size) { this.size = size; this.page = 0; this.draw(); }

  sort() {
    const column = this.kind.columns.find((one) => one.name === this.order);
    const sign = this.down ? -1 : 1;
    const keyed = this.found.map((row, at) => [column.value(row), at, row]);
    keyed.sort((a, b) => (a[0] < b[0] ? -sign : a[0] > b[0] ? sign : a[1] - b[1]));
    this.found = keyed.map((one) => one[2]);
    this.page = 0;
    this.draw();
  }

  turn(by) { this.page += by; this.draw(); }

  head(column) {
    const isOrder = column.name === this.order;
    const press = () => {
      this.down = isOrder ? !this.down : Boolean(column.isNumber);
      this.order = column.name;
      this.sort();
      this.table.querySelector('th[aria-sort] button').focus();
    };
    return h('th', { scope: 'col', class: column.isNumber ? 'n' : null, 'aria-sort': isOrder ? (this.down ? 'descending' : 'ascending') : null },
      // On paper a head with a button in it is not repeated on each page.
      this.size > PAGE ? column.label : h('button', { type: 'button', onclick: press }, column.label, isOrder ? h('span', { 'aria-hidden': 'true' }, this.down ? ' ↓' : ' ↑') : null));
  }

  draw() {
    const first = this.page * this.size;
    const rows = this.found.slice(first, first + this.size);
    this.table.replaceChildren(
      h('thead', null, h('tr', null, this.kind.columns.map((column) => this.head(column)))),
      h('tbody', null, rows.length ? rows.map((row) => h('tr', null, this.kind.columns.map((column) =>
        h('td', { class: column.isNumber ? 'n' : column.class || null }, column.cell(row)))))
        : h('tr', null, h('td', { colspan: this.kind.columns.length, class: 'soft' }, 'nothing'))));
    this.table.classList.remove('stack');
    stack(this.table);
    this.status.textContent = this.found.length > this.size
      ? `${number(first + 1)} to ${number(first + rows.length)} of ${number(this.found.length)}` : plural(this.found.length, 'row');
    this.back.disabled = first === 0;
    this.next.disabled = first + this.size >= this.found.length;
    this.cut.textContent = this.found.length > this.size ? `The first ${number(rows.length)} of ${number(this.found.length)}.` : '';
    this.more.classList.toggle('hidden', this.found.length <= this.size);
  }
}

const range = (length) => Array.from({ length }, (_, at) => at);
const plain = (label, name, value) => ({ label, name, value, cell: value });
function countColumns(table) {
  return [
    { label: 'granted against used', name: 'share', class: 'picture', value: (i) => table.used[i] / (table.granted[i] || 1), cell: (i) => countsBar(table, i) },
    ...[['granted', 'granted'], ['used', 'used'], ['unused', 'unused'], ['unobservable', 'unobservable'], ['out_of_coverage', 'out of coverage']]
      .map(([name, label]) => ({ label, name, isNumber: true, value: (i) => table[name][i], cell: (i) => number(table[name][i]) }))];
}
const score = (table, name) => ({ label: name, name, isNumber: true, value: (i) => table[name][i], cell: (i) => table[name][i].toFixed(1) });
const count = (table, name, label) => ({ label, name, isNumber: true, value: (i) => table[name][i], cell: (i) => number(table[name][i]) });

const P = data.principals, A = data.assignments, R = data.roles, S = data.scopes;
const KINDS = {
  principals: () => ({
    label: 'Principals', rows: range(P.id.length).filter((i) => P.granted[i] || P.type[i] || assignmentsOf(i).length), order: 'creep', down: true, text: (i) => `${P.name[i]} ${P.id[i]}`,
    filters: [{ label: 'Type', value: (i) => kindOf(P.type[i]) }],
    columns: [{ label: 'principal', name: 'name', class: 'name', value: (i) => P.name[i].toLowerCase(), cell: principalLink }, plain('type', 'type', (i) => kindOf(P.type[i])),
      ...countColumns(P), score(P, 'creep'), score(P, 'risk')],
  }),
  assignments: () => ({
    label: 'Role assignments', rows: range(A.id.length), order: 'creep', down: true, text: (i) => `${P.name[A.principal[i]]} ${R.name[A.role[i]]} ${data.scopeIds[A.scope[i]]} ${place(A.scope[i])} ${A.id[i]}`,
    filters: [{ label: 'State', value: (i) => STATES[A.state[i]] }, { label: 'Role', value: (i) => R.name[A.role[i]] }],
    columns: [{ label: 'principal', name: 'name', class: 'name', value: (i) => P.name[A.principal[i]].toLowerCase(), cell: (i) => link('assignment', assignmentKey(i), P.name[A.principal[i]]) },
      { label: 'role', name: 'role', value: (i) => R.name[A.role[i]], cell: (i) => [R.name[A.role[i]], h('span', { class: 'sub' }, place(A.scope[i]))] },
      plain('state', 'state', (i) => STATES[A.state[i]]), ...countColumns(A), score(A, 'creep')],
  }),
  roles: () => ({
    label: 'Roles', rows: range(R.id.length), order: 'granted', down: true, text: (i) => `${R.name[i]} ${R.id[i]}`,
    filters: [{ label: 'Type', value: (i) => kindOf(R.type[i]) }],
    columns: [{ label: 'role', name: 'name', class: 'name', value: (i) => R.name[i].toLowerCase(), cell: roleLink }, plain('type', 'type', (i) => kindOf(R.type[i])),
      count(R, 'assignments', 'assignments'), count(R, 'principals', 'holders'), ...countColumns(R)],
  }),
  scopes: () => ({
    label: 'Scopes', rows: range(S.granted.length).filter((i) => S.assignments[i]), order: 'granted', down: true, text: (i) => `${place(i)} ${data.scopeIds[i]}`,
    filters: [{ label: 'Kind', value: (i) => S.kind[i] }],
    columns: [{ label: 'scope', name: 'name', class: 'name', value: (i) => place(i).toLowerCase(), cell: scopeLink }, plain('kind', 'kind', (i) => words(S.kind[i])),
      count(S, 'assignments', 'assignments'), count(S, 'principals', 'holders'), ...countColumns(S)],
  }),
  proposals: () => {
    const of = (i) => proposals[i][2];
    return {
      label: 'Proposals', rows: range(proposals.length).sort((a, b) => proposals[b][5][0] - proposals[a][5][0]), order: 'cut', down: true,
      text: (i) => `${P.name[A.principal[of(i)]]} ${R.name[A.role[of(i)]]} ${data.scopeIds[A.scope[of(i)]]} ${place(A.scope[of(i)])} ${words(proposalKind(i))} ${proposals[i][3]} ${proposals[i][6].map((spot) => R.name[spot[0]]).join(' ')}`,
      filters: [{ label: 'Kind', value: proposalKind }],
      columns: [{ label: 'principal', name: 'name', class: 'name', value: (i) => P.name[A.principal[of(i)]].toLowerCase(), cell: (i) => link('proposal', proposals[i][0], P.name[A.principal[of(i)]]) },
        { label: 'kind', name: 'kind', value: proposalKind, cell: (i) => chip(proposalKind(i)) },
        { label: 'today', name: 'today', value: (i) => R.name[A.role[of(i)]], cell: (i) => [R.name[A.role[of(i)]], h('span', { class: 'sub' }, place(A.scope[of(i)]))] },
        { label: 'becomes', name: 'becomes', value: (i) => proposals[i][6].length, cell: (i) => becomes(proposals[i]) },
        plain('because', 'because', (i) => proposals[i][3]),
        { label: 'excess', name: 'cut', isNumber: true, value: (i) => proposals[i][5][0] - proposals[i][5][1], cell: (i) => `${short(proposals[i][5][0])} → ${short(proposals[i][5][1])}` },
        { label: 'may break', name: 'breaks', isNumber: true, value: (i) => proposals[i][4][0], cell: (i) => chance(proposals[i][4]) }],
    };
  },
};

const proposalKind = (i) => (proposals[i][13] ? 'by_design' : proposals[i][1]);

function becomes(proposal) {
  const places = new Map();
  for (const one of proposal[6]) places.set(one[0], [...(places.get(one[0]) || []), one[1]]);
  if (!places.size) return data.keeps.includes(proposal[1]) ? h('span', { class: 'soft' }, 'the same') : 'nothing';
  const rest = places.size - NAMED;
  return [[...places].slice(0, NAMED).map(([role, scopes]) => [R.name[role], h('span', { class: 'sub' },
    scopes.slice(0, NAMED).map(place).join(', ') + (scopes.length > NAMED ? ` and ${scopes.length - NAMED} more` : ''))]),
  rest > 0 ? h('span', { class: 'sub' }, `and ${plural(rest, 'more role')}`) : null];
}
