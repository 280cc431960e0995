// Pictures: each has its numbers as its name, for those who do not see it.
const LEAST = 1.5;

function countsLabel(table, row) {
  return `${number(table.used[row])} of ${number(table.granted[row])} used, ${number(table.unused[row])} unused, `
    + `${number(table.unobservable[row])} unobservable, ${number(table.out_of_coverage[row])} out of coverage`;
}

function countsBar(table, row, size) {
  const all = VERDICTS.map((verdict) => table[verdict][row]);
  const total = all.reduce((a, b) => a + b, 0);
  const widths = all.map((value) => (value ? Math.max(100 * value / total, LEAST) : 0));
  const scale = 100 / (widths.reduce((a, b) => a + b, 0) || 1);
  let x = 0;
  const segments = widths.map((width, at) => {
    const rect = width ? s('rect', { class: VERDICTS[at], x: x.toFixed(2), width: (width * scale).toFixed(2), height: 10 }) : null;
    x += width * scale;
    return rect;
  });
  return s('svg', { class: `bar ${size || ''}`, viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': countsLabel(table, row) }, segments);
}

function legend() {
  const texts = { used: 'used', unused: 'unused: a log would show it', unobservable: 'unobservable: no log shows it', out_of_coverage: 'out of coverage: the log is missing' };
  return h('ul', { class: 'legend' }, VERDICTS.map((verdict) => h('li', null,
    s('svg', { viewBox: '0 0 10 10', 'aria-hidden': 'true' }, s('rect', { class: verdict, width: 10, height: 10 })), texts[verdict])));
}

// Granted against used, a line a provider: how much of each service a role opens, and how much of it was needed.
function providersPicture(role, uses) {
  const used = new Map();
  for (const use of new Set(uses.map((row) => data.uses.operation[row]))) {
    const provider = data.operations[use].split('/')[0].toLowerCase();
    used.set(provider, (used.get(provider) || 0) + 1);
  }
  const rows = providersOf(role).map((row) => {
    const provider = data.providers.provider[row];
    return { provider: provider || 'others', granted: data.providers.operations[row], used: used.get(provider.toLowerCase()) || 0 };
  });
  rows.sort((a, b) => (b.used > 0) - (a.used > 0) || b.granted - a.granted || (a.provider < b.provider ? -1 : 1));
  if (!rows.length) return null;
  const most = Math.max(...rows.map((row) => row.granted));
  const shown = rows.slice(0, 14);
  const rest = rows.slice(14);
  const lines = shown.flatMap((row) => [
    h('span', null, row.provider),
    s('svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': `${row.used} of ${row.granted} used` },
      s('rect', { class: 'before', width: Math.max(100 * row.granted / most, LEAST), height: 10 }),
      row.used ? s('rect', { class: 'used', width: Math.max(100 * row.used / most, 1), height: 10 }) : null),
    h('span', { class: 'n' }, `${number(row.used)} of ${number(row.granted)}`)]);
  return h('div', null, h('h3', null, 'Granted against used, by provider'), h('div', { class: 'providers' }, lines),
    rest.length ? h('p', { class: 'small soft' }, `and ${plural(rest.length, 'more provider')} with `
      + `${number(rest.reduce((sum, row) => sum + row.granted, 0))} operations, ${number(rest.reduce((sum, row) => sum + row.used, 0))} of them used`) : null);
}
