param= [
 'M.X/a/read'
]
var v = { k: concat(p, ['${p[0]}/b']) }
module m './m.bicep' = {
 name: 'm'
}
@batchSize(1)
resourcorization/roleDefinitions@2022- [for (x, i) in [v, ...[v]]: if (i < 2) {
 name: guid('g')
 properties: {
 roleName: '${x.?n ?? i}'
 permissions: [{ actions: map(x.k, y => '${y}/c') }]
 }
}]
