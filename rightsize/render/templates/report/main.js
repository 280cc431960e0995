// Ties it together: tables become explorers, and what stands after the # opens in the dialog.
const dialog = document.getElementById('detail');
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
  if (row < 0) { if (dialog.open) dialog.close(); return; }
  const [title, parts] = VIEWS[kind][0](row);
  dialog.replaceChildren(
    h('div', { class: 'bar-top' }, dialog.open ? h('button', { type: 'button', onclick: () => history.back() }, 'Back') : h('span'), h('button', { type: 'button', onclick: () => dialog.close() }, 'Close')),
    h('div', { class: 'body' }, h('h2', { id: 'detail-title', tabindex: -1 }, title), parts));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  document.getElementById('detail-title').focus();
}

dialog.addEventListener('close', () => {
  if (/^#\w+=/.test(location.hash)) history.replaceState(null, '', location.href.split('#')[0]);
});
window.addEventListener('hashchange', open);
for (const name of document.querySelectorAll('[data-principal]')) {
  name.replaceChildren(link('principal', name.dataset.principal, name.textContent));
}
for (const name of document.querySelectorAll('[data-layer]')) {
  name.replaceChildren(link('layer', name.dataset.layer, name.textContent));
}
for (const host of document.querySelectorAll('.explorer')) new Explorer(host, KINDS[host.dataset.table]());
document.documentElement.dataset.ready = 'true';
open();
