// Ties it together: tables become explorers, and what stands after the # opens in the dialog.
const VIEWS = {
  principal: [principalView, (key) => P.id.indexOf(key)],
  role: [roleView, (key) => R.id.indexOf(key)],
  scope: [scopeView, (key) => data.scopeIds.indexOf(key)],
  proposal: [proposalView, (key) => proposals.findIndex((one) => one[0] === key)],
  layer: [layerView, (key) => LAYERS.indexOf(key)],
  assignment: [assignmentView, (key) => A.id.findIndex((_, i) => assignmentKey(i) === key)],
};

function open() {
  const [, kind, key] = /^#(\w+)=(.*)$/.exec(location.hash) || [];
  let row = -1;
  try { row = kind in VIEWS ? VIEWS[kind][1](decodeURIComponent(key)) : -1; } catch { row = -1; }
  if (row < 0) {
    if (dialog.open) dialog.close();
    const named = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (named && main.contains(named)) { if (finder.value) clear(); reveal(named); }
    if (!isView()) base = location.hash;
    return;
  }
  const [title, parts] = VIEWS[kind][0](row);
  dialog.replaceChildren(
    h('div', { class: 'bar-top' }, dialog.open ? h('button', { type: 'button', onclick: () => history.back() }, 'Back') : h('span'), h('button', { type: 'button', onclick: () => dialog.close() }, 'Close')),
    h('div', { class: 'body' }, h('h2', { id: 'detail-title', tabindex: -1 }, title), parts));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  document.getElementById('detail-title').focus();
}

dialog.addEventListener('close', () => {
  if (isView()) remember(base);
});
window.addEventListener('hashchange', open);
for (const name of document.querySelectorAll('[data-principal]')) {
  name.replaceChildren(link('principal', name.dataset.principal, name.textContent));
}
for (const name of document.querySelectorAll('[data-proposal]')) {
  name.replaceChildren(link('proposal', name.dataset.proposal, name.textContent));
}
for (const name of document.querySelectorAll('[data-layer]')) {
  name.replaceChildren(link('layer', name.dataset.layer, name.textContent));
}
for (const host of document.querySelectorAll('.explorer')) explorers.set(host.dataset.table, new Explorer(host, KINDS[host.dataset.table]()));
document.querySelectorAll('main table').forEach(stack);
watchParts();
document.documentElement.dataset.ready = 'true';
// Whoever comes by a link to one thing finds its table open behind it.
const SECTION_OF = { principal: 'principals', role: 'roles', scope: 'scopes', proposal: 'proposals', layer: 'layers', assignment: 'assignments' };
const came = SECTION_OF[(/^#(\w+)=/.exec(location.hash) || [])[1]];
if (came && partOf(came)) { reveal(document.getElementById(came)); base = `#${came}`; }
open();
