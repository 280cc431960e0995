// Layers of defence: who can defeat which, as granted, as used, and under the plan.
const LAYERS = ['host_integrity', 'compute_isolation', 'network_segmentation', 'data_protection', 'identity_control', 'monitoring'];
const BASES = ['granted', 'used', 'proposed'];
const EFFECTS = ['disable', 'bypass', 'weaken'];
const layersOf = (principal) => index('layer by principal', () => data.layers.principal)(principal);
const LAYER_HEADS = ['layer', 'basis', 'state', '#subscriptions', 'strongest operation', 'effect'];

function layerRows(rows, withWho) {
  const D = data.layers;
  const sorted = [...rows].sort((a, b) => D.layer[a] - D.layer[b] || D.basis[a] - D.basis[b] || D.state[a] - D.state[b]);
  return sorted.map((row) => [
    withWho ? principalLink(D.principal[row]) : link('layer', LAYERS[D.layer[row]], words(LAYERS[D.layer[row]])), BASES[D.basis[row]],
    STATES[D.state[row]] + (D.conditional[row] ? ', limited by a condition' : ''), number(D.scopes[row]),
    h('code', null, data.operations[D.operation[row]]), `${EFFECTS[D.effect[row]]} ${words(data.words[D.control[row]])}`]);
}

function layerView(layer) {
  const D = data.layers;
  const rows = index('layer', () => D.layer)(layer);
  const parts = BASES.map((basis, at) => {
    const own = rows.filter((row) => D.basis[row] === at).sort((a, b) => D.scopes[b] - D.scopes[a] || D.state[a] - D.state[b] || (P.name[D.principal[a]] < P.name[D.principal[b]] ? -1 : 1));
    const lines = layerRows(own, true).map((line) => [line[0], ...line.slice(2)]);
    return table(`Who can defeat it, as ${basis} (${plural(new Set(own.map((row) => D.principal[row])).size, 'principal')})`, ['principal', ...LAYER_HEADS.slice(2)], lines);
  });
  return [`Layer: ${words(LAYERS[layer])}`, [h('p', { class: 'soft small' }, 'Two layers of a subscription that one principal can defeat protect no better than one.'), parts]];
}
