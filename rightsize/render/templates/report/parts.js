// The parts that open on demand: a fragment opens its part, the last opened part is the fragment, and print opens some.
const MOST_PRINTED = 1000;
const explorers = new Map();
const partOf = (id) => { const found = document.getElementById(id); return found && found.closest('details.part'); };
const isView = () => /^#\w+=/.test(location.hash);

// The fragment of the part, which stands again when a view is closed.
let base = isView() ? '' : location.hash;
function remember(fragment) {
  base = fragment;
  history.replaceState(null, '', here + fragment);
}

// Opens what holds an element, and shows it below the header.
function reveal(node) {
  for (let one = node; one; one = one.parentElement) if (one.tagName === 'DETAILS') one.open = true;
  (node.tagName === 'SECTION' && node.closest('details.part') || node).scrollIntoView();
}

function watchParts() {
  for (const part of document.querySelectorAll('details.part')) {
    const fragment = `#${part.querySelector('section').id}`;
    part.addEventListener('toggle', () => {
      if (isView() || printing.length) return;
      if (part.open) remember(fragment);
      else if (location.hash === fragment) remember('');
    });
  }
}

// In print, whatever a reader of paper needs is open, and its table has all rows that are found.
const printing = [];
function beforePrint() {
  for (const part of document.querySelectorAll('details.printed:not([open])')) { part.open = true; printing.push(part); }
  for (const one of explorers.values()) if (one.host.closest('details.part').open) one.show(MOST_PRINTED);
}
function afterPrint() {
  for (const one of explorers.values()) if (one.size !== PAGE) one.show(PAGE);
  for (const part of printing) part.open = false;
  setTimeout(() => { printing.length = 0; }, 0);
}
window.addEventListener('beforeprint', beforePrint);
window.addEventListener('afterprint', afterPrint);
