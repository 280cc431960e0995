// Parses KQL as Log Analytics does and prints what its language service says, as JSON: {file: [message, …]}.
// Usage: node check_kql.js FOLDER_OF_THE_PACKAGE SCHEMAS.json FILE.kql…
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const [folder, schemas, ...files] = process.argv.slice(2);
// The package is a browser's bundle: it defines global names, and imports nothing.
for (const name of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) {
  vm.runInThisContext(fs.readFileSync(path.join(folder, name), 'utf8'), { filename: name });
}
const language = globalThis.Kusto.Language;
const symbols = language.Symbols;
const tables = Object.entries(JSON.parse(fs.readFileSync(schemas, 'utf8'))).map(
  ([name, schema]) => symbols.TableSymbol.From(schema).WithName(name));
const database = new symbols.DatabaseSymbol.$ctor3('workspace', null, tables, false);
const globals = language.GlobalState.Default.WithDatabase(database);
const found = {};
for (const file of files) {
  const code = language.KustoCode.ParseAndAnalyze(fs.readFileSync(file, 'utf8'), globals);
  const said = code.GetDiagnostics();
  found[file] = [];
  for (let at = 0; at < globalThis.System.Array.getCount(said, language.Diagnostic); at += 1) {
    const one = globalThis.System.Array.getItem(said, at, language.Diagnostic);
    found[file].push(`${one.Code}: ${one.Message}`);
  }
}
console.log(JSON.stringify(found));
