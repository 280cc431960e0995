// One principal, assignment, role, scope or proposal, looked at closely.
const SHOWN = 200;
const facts = (...pairs) => h('dl', { class: 'facts' }, pairs.filter(([, value]) => value !== null && value !== '').map(([name, value]) => [h('dt', null, name), h('dd', null, value)]));

function table(label, heads, rows) {
  if (!rows.length) return null;
  const numeric = heads.map((head) => head.startsWith('#'));
  return h('div', null, h('h3', null, label), h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': `${label} as a table` }, stack(h('table', null,
    h('thead', null, h('tr', null, heads.map((head, at) => h('th', { scope: 'col', class: numeric[at] ? 'n' : null }, head.replace('#', ''))))),
    h('tbody', null, rows.slice(0, SHOWN).map((row) => h('tr', null, row.map((cell, at) => h('td', { class: numeric[at] ? 'n' : cell instanceof SVGElement ? 'picture' : null }, cell)))))))),
  rows.length > SHOWN ? h('p', { class: 'small soft' }, `The first ${SHOWN} of ${number(rows.length)}.`) : null);
}

function assignmentRows(rows, who) {
  return rows.map((i) => [
    link('assignment', assignmentKey(i), who ? P.name[A.principal[i]] : R.name[A.role[i]]), who === 'role' ? R.name[A.role[i]] : scopeLink(A.scope[i]), STATES[A.state[i]],
    countsBar(A, i), `${number(A.used[i])} of ${number(A.granted[i])}`, A.creep[i].toFixed(1),
    proposalsFor(i).map((p) => [link('proposal', proposals[p][0], words(proposals[p][1])), ' '])]);
}
const ASSIGNMENT_HEADS = ['at', 'state', 'granted against used', '#used', '#creep', 'proposal'];

function useRows(rows, withWho) {
  const sorted = [...rows].sort((a, b) => data.uses.events[b] - data.uses.events[a]);
  return sorted.map((u) => [
    h('code', null, data.operations[data.uses.operation[u]]), number(data.uses.events[u]), number(data.uses.days[u]), number(data.uses.scopes[u]), day(data.uses.last[u]),
    withWho ? (data.uses.principal[u] === null ? '' : principalLink(data.uses.principal[u]))
      : link('assignment', assignmentKey(data.uses.assignment[u]), `${R.name[A.role[data.uses.assignment[u]]]} at ${place(A.scope[data.uses.assignment[u]])}`)]);
}
const USE_HEADS = ['operation', '#calls', '#days', '#scopes', '#last seen'];

function principalView(i) {
  const through = holdersOf(i).flatMap((group) => assignmentsOf(group).map((row) => [group, row]));
  const members = membersOf(i);
  return [P.name[i], [
    facts(['type', kindOf(P.type[i])], ['id', h('code', null, P.id[i])], ['creep, risk', `${P.creep[i].toFixed(1)}, ${P.risk[i].toFixed(1)} of 100`],
      ['granted', `${number(P.granted[i])} distinct operations, ${number(P.data_granted[i])} of them on data planes`], ['used', `${number(P.used[i])}, ${number(P.data_used[i])} of them on data planes`]),
    countsBar(P, i, 'big'), legend(),
    table('Layers of defence that it can defeat', LAYER_HEADS, layerRows(layersOf(i), false)),
    table('Its assignments', ['role', ...ASSIGNMENT_HEADS], assignmentRows(assignmentsOf(i))),
    table('Through groups', ['group', 'role', 'at', 'granted against used', '#granted'], through.map(([group, row]) => [
      principalLink(group), link('assignment', assignmentKey(row), R.name[A.role[row]]), scopeLink(A.scope[row]), countsBar(A, row), number(A.granted[row])])),
    table('Used operations', [...USE_HEADS, 'under'], useRows([...new Set([...usesBy(i), ...assignmentsOf(i).flatMap(usesOf)])])),
    table('Unexplained operations', ['operation', 'at', '#calls', '#last seen', 'because'], unexplainedOf(i).map((row) => [
      h('code', null, data.operations[data.unexplained.operation[row]]), data.unexplained.scope[row] === null ? '' : place(data.unexplained.scope[row]), number(data.unexplained.events[row]), day(data.unexplained.last[row]),
      data.words[data.unexplained.why[row]]])),
    table('Findings', ['severity', 'control', 'reason'], findingsOf(i).map((row) => [chip(data.findings.severity[row]), words(data.findings.control[row]), data.findings.reason[row]])),
    table('Members whom its assignments reach', ['principal', 'type', 'granted against used', '#used'], members.map((row) => [principalLink(row), kindOf(P.type[row]), countsBar(P, row), `${number(P.used[row])} of ${number(P.granted[row])}`])),
  ]];
}

function assignmentView(i) {
  const uses = usesOf(i);
  return [`${R.name[A.role[i]]} of ${P.name[A.principal[i]]}`, [
    facts(['principal', principalLink(A.principal[i])], ['role', roleLink(A.role[i])], ['scope', [scopeLink(A.scope[i]), h('span', { class: 'sub soft' }, h('code', null, data.scopeIds[A.scope[i]]))]],
      ['state', STATES[A.state[i]]], ['condition', A.conditional[i] ? 'has one' : ''], ['created', A.created[i]], ['id', h('code', null, A.id[i])],
      ['used', `${number(A.used[i])} of ${number(A.granted[i])} operations`]),
    countsBar(A, i, 'big'), legend(),
    proposalsFor(i).map((p) => proposalPart(proposals[p])),
    providersPicture(A.role[i], uses),
    table('Used operations', [...USE_HEADS, 'by'], useRows(uses, true)),
  ]];
}

const STRINGS = [['actions', ''], ['notActions', 'but not '], ['dataActions', 'data: '], ['notDataActions', 'data, but not ']];
const permissionLines = (role) => R.permissions[role].flatMap((block) => [...STRINGS.flatMap(([key, lead]) => (block[key] || []).map((text) => lead + text)),
  ...(block.condition ? [`only if ${block.condition}`] : [])]);

// Marks each line but those that the other side has too.
function permissionList(role, mark, same) {
  const lines = permissionLines(role);
  if (!lines.length) return h('p', { class: 'soft small' }, R.permissions[role].length ? 'grants nothing' : 'its definition is not loaded');
  const items = lines.map((text) => h('li', { class: same && same.has(text.toLowerCase()) ? null : mark }, h('code', null, text)));
  return items.length <= 40 ? h('ul', null, items)
    : h('div', null, h('ul', null, items.slice(0, 40)), h('details', null, h('summary', null, `${number(items.length - 40)} more`), h('ul', null, items.slice(40))));
}

// The strings of a new role, each with its reason.
function actionRows(role) {
  return (data.actions[role] || []).map(([action, plane, why, events, last]) => [
    h('code', null, action), plane ? 'data' : 'control', why.length ? why.map((word) => data.words[word]).join('; ') : `used: ${plural(events, 'call')}, last ${last}`]);
}

// The first screen of a new role: lines with their labels, and today's access beside what stays, by service.
function summaryPart(role) {
  const [lines, services] = data.summaries[role] || [[], []];
  if (!lines.length) return null;
  return h('div', { class: 'role' }, h('dl', { class: 'facts' }, lines.map(([label, line]) => [label ? h('dt', null, label) : null, h('dd', null, line)])),
    table('Operations by service', ['service', '#today', '#stays', '#by this role', '#used'], services.map(([service, ...counts]) => [service, ...counts.map(number)])));
}

const others = (rows) => rows.map((row, at) => [at ? ', ' : '', link('assignment', assignmentKey(row), `${R.name[A.role[row]]} of ${P.name[A.principal[row]]}`), ' at ', place(A.scope[row])]);

function proposalPart(one) {
  const [, kind, assignment, reason, breaks, [excess, excessAfter, risk, riskAfter], places, removed, kept, holds, tomorrow, restsOn, together] = one;
  const byRole = new Map();
  for (const spot of places) byRole.set(spot[0], [...(byRole.get(spot[0]) || []), spot]);
  const holder = A.principal[assignment];
  const linesOf = (roles) => new Set(roles.flatMap(permissionLines).map((text) => text.toLowerCase()));
  const [before, after] = [linesOf([A.role[assignment]]), linesOf([...byRole.keys()])];
  const proposed = [...byRole].map(([role, spots]) => h('div', null, h('p', { class: 'name' }, roleLink(role)),
    spots.map((spot) => h('p', { class: 'small' }, 'at ', scopeLink(spot[1]), spot[2] === holder ? '' : [' for ', principalLink(spot[2])], spot[3] ? ` (${STATES[spot[3]]})` : '', spot[4] ? ' with the condition ' : '', spot[4] ? h('code', null, spot[4]) : '')),
    permissionList(role, 'comes', before)));
  const reasons = (counts) => counts.map(([word, times]) => [number(times), data.words[word]]);
  return h('div', null, h('h3', null, 'Proposal ', chip(kind)),
    facts(['because', reason], ['excess', `${number(excess)} → ${number(excessAfter)}`], ['risk', `${number(risk)} → ${number(riskAfter)}`],
      ['may break', data.keeps.includes(kind) ? '' : `${chance(breaks)} within 30 days (logged operations only)`],
      ['proof', data.keeps.includes(kind) ? '' : holds ? 'used ⊆ proposed ⊆ granted, for every possible operation' : 'fails'],
      ['rests on', restsOn.length ? ['other assignments grant the rest of what is needed: ', others(restsOn)] : ''], ['together with', together.length ? others(together) : ''],
      ['later', tomorrow.length ? [tomorrow.map((role, at) => [at ? ', ' : '', R.name[role]]), ' may grant more later: a pattern matches new operations, or Microsoft changes a role'] : '']),
    [...byRole.keys()].map((role) => data.summaries[role] ? [h('h3', null, R.name[role]), summaryPart(role)] : null),
    h('div', { class: 'pair' },
      h('div', { class: 'pane' }, h('h3', null, 'Today'), h('p', { class: 'name' }, roleLink(A.role[assignment])), h('p', { class: 'small' }, 'at ', scopeLink(A.scope[assignment])), permissionList(A.role[assignment], data.keeps.includes(kind) ? null : 'goes', after)),
      h('div', { class: 'pane' }, h('h3', null, 'Proposed'), proposed.length ? proposed : h('p', null, data.keeps.includes(kind) ? 'the same' : 'nothing'))),
    table('Removed operations, by reason', ['#operations', 'because'], reasons(removed)),
    table('Kept operations without observed use, by reason', ['#operations', 'because'], reasons(kept)),
    [...byRole.keys()].map((role) => table(`Why each action of ${R.name[role]} is there`, ['action', 'plane', 'because'], actionRows(role))));
}

function proposalView(i) {
  const assignment = proposals[i][2];
  const [, parts] = assignmentView(assignment);
  return [`Proposal for ${P.name[A.principal[assignment]]}`, [parts[0], proposalPart(proposals[i]), h('h3', null, 'Today, granted against used'), parts[1], parts[2], parts[4], parts[5]]];
}

function roleView(i) {
  const assigning = proposals.flatMap((one, at) => (one[6].some((spot) => spot[0] === i) ? [at] : []));
  return [R.name[i], [
    facts(['type', kindOf(R.type[i])], ['id', h('code', null, R.id[i])], ['assignments today', `${number(R.assignments[i])} of ${plural(R.principals[i], 'principal')}`]),
    R.granted[i] ? [countsBar(R, i, 'big'), legend()] : null,
    summaryPart(i),
    h('h3', null, 'What it grants'), h('div', { class: 'pane' }, permissionList(i)),
    table('Why each action is there', ['action', 'plane', 'because'], actionRows(i)),
    table('Proposals that assign it', ['principal', 'kind', 'because'], assigning.map((p) => [link('proposal', proposals[p][0], P.name[A.principal[proposals[p][2]]]), chip(proposals[p][1]), proposals[p][3]])),
    providersPicture(i, assignmentsWith(i).flatMap(usesOf)),
    table('Its assignments', ['principal', ...ASSIGNMENT_HEADS], assignmentRows(assignmentsWith(i), 'principal')),
  ]];
}

function scopeView(i) {
  const own = data.scopeIds[i].toLowerCase();
  const prefix = own === '/' ? '/' : `${own}/`;
  const below = range(data.scopeIds.length).filter((other) => other !== i && (S.assignments[other] || 0) > 0 && data.scopeIds[other].toLowerCase().startsWith(prefix));
  const above = range(data.scopeIds.length).filter((other) => other !== i && (S.assignments[other] || 0) > 0 && own.startsWith(`${data.scopeIds[other].toLowerCase()}/`));
  return [place(i), [
    facts(['kind', words(S.kind[i])], ['scope', h('code', null, data.scopeIds[i])], ['assignments', number(S.assignments[i] || 0)], ['holders', number(S.principals[i] || 0)]),
    S.granted[i] ? [countsBar(S, i, 'big'), legend()] : null,
    table('Assignments here', ['principal', 'role', ...ASSIGNMENT_HEADS.slice(1)], assignmentRows(assignmentsAt(i), 'role')),
    table('Assignments above, within the subscription, that reach it', ['principal', 'role', ...ASSIGNMENT_HEADS.slice(1)], assignmentRows(above.flatMap(assignmentsAt), 'role')),
    table('Scopes below with assignments of their own', ['scope', 'kind', 'granted against used', '#assignments'], below.map((other) => [scopeLink(other), words(S.kind[other]), countsBar(S, other), number(S.assignments[other])])),
  ]];
}
