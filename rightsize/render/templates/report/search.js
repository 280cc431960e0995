// One search over all tables: groups of links, each with its number, in the place of the page while something is typed.
const FOUND = 8;
const LONGEST = 160;
const main = document.querySelector('main');
const finder = h('input', { type: 'search', id: 'find', 'aria-keyshortcuts': '/', autocomplete: 'off', spellcheck: 'false', placeholder: PAGE < 20 ? 'Search' : 'Search: press /', 'aria-label': 'Search principals, roles, scopes and all tables', oninput: () => find() });
const announced = h('p', { class: 'small soft', role: 'status' });
const groups = h('div', { class: 'groups' });
const results = h('section', { id: 'results', class: 'hidden', 'aria-label': 'Search results' }, h('h1', null, 'Search results'), announced, groups);

// What is searched: each kind of thing with its rows, and the rows of the tables that have no explorer.
const KIND_LINKS = {
  proposals: (i) => [link('proposal', proposals[i][0], P.name[A.principal[proposals[i][2]]]), ` ${R.name[A.role[proposals[i][2]]]} at ${place(A.scope[proposals[i][2]])}: ${words(proposalKind(i))}`],
  principals: (i) => [principalLink(i), ` ${kindOf(P.type[i])}`],
  roles: (i) => [roleLink(i), ` ${kindOf(R.type[i])}${R.assignments[i] ? `, ${plural(R.assignments[i], 'assignment')}` : ''}`],
  scopes: (i) => [scopeLink(i), ` ${plural(S.assignments[i], 'assignment')}`],
  assignments: (i) => [link('assignment', assignmentKey(i), P.name[A.principal[i]]), ` ${R.name[A.role[i]]} at ${place(A.scope[i])}`],
};

const isPlain = (table) => !table.closest('.explorer') && table.parentElement.closest('details') === table.closest('details.part');
const plainTables = [...document.querySelectorAll('details.part table')].filter(isPlain).map((table) => ({
  title: table.parentElement.getAttribute('aria-label').replace(/,? as a table$/, ''),
  rows: [...table.tBodies].flatMap((body) => [...body.rows]).map((row) => [row, row.textContent.toLowerCase()]),
}));
const cellText = (cell) => [...cell.childNodes].map((node) => (node.className === 'sub' ? ' ' : '') + node.textContent).join('').trim();

function group(title, count, items, all) {
  return h('div', null, h('h2', null, `${title} (${number(count)})`), h('ul', null, items.map((item) => h('li', null, item))),
    count > items.length ? h('button', { type: 'button', onclick: all }, `Show all ${number(count)}`) : null);
}

// Leaves the search for a row of a table, which is marked and gets the focus.
function goTo(row) {
  clear();
  reveal(row);
  row.setAttribute('tabindex', '-1');
  row.focus();
}

function find() {
  const wanted = finder.value.trim().toLowerCase();
  main.classList.toggle('searching', Boolean(wanted));
  results.classList.toggle('hidden', !wanted);
  if (!wanted) { groups.replaceChildren(); announced.textContent = ''; return; }
  let whole = 0;
  const found = [];
  for (const [name, line] of Object.entries(KIND_LINKS)) {
    const explorer = explorers.get(name);
    const rows = explorer ? explorer.matching(wanted) : [];
    whole += rows.length;
    if (rows.length) found.push(group(explorer.kind.label, rows.length, rows.slice(0, FOUND).map(line), () => { const text = finder.value; clear(); explorer.narrow(text); reveal(explorer.host); explorer.search.focus(); }));
  }
  for (const { title, rows } of plainTables) {
    const matching = rows.filter(([, text]) => text.includes(wanted)).map(([row]) => row);
    whole += matching.length;
    const line = (row) => {
      const named = row.querySelector('.name')?.closest('td, th') || row.cells[0];
      const rest = [...row.cells].filter((cell) => cell !== named).slice(0, 2).map(cellText).filter(Boolean);
      return [h('button', { type: 'button', class: 'link-button', onclick: () => goTo(row) }, cellText(named)), ` ${rest.join(', ')}`.slice(0, LONGEST)];
    };
    if (matching.length) found.push(group(title, matching.length, matching.slice(0, FOUND).map(line), () => goTo(matching[0])));
  }
  announced.textContent = whole ? `${plural(whole, 'result')} for “${finder.value.trim()}”` : `Nothing has “${finder.value.trim()}”`;
  groups.replaceChildren(...found);
  scrollTo(0, 0);
}

function clear() { finder.value = ''; find(); }

document.querySelector('.top').append(h('div', { class: 'find', role: 'search' }, finder));
main.prepend(results);
document.addEventListener('keydown', (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && !dialog.open) { event.preventDefault(); finder.focus(); finder.select(); }
  else if (event.key === 'Escape' && finder.value && !dialog.open && (event.target === finder || results.contains(event.target))) { event.preventDefault(); clear(); finder.focus(); }
});
