// Opens a page in Chromium, takes steps in it, and prints what it saw as JSON.
// Usage: node browse.js FOLDER_OF_NODE_MODULES CHROMIUM JOB.json
// A job: {page, width, height, dark, print, scripts, steps: [{eval|click|wait|fill|press|shot|pdf|axe|goto}]}
'use strict';
const fs = require('fs');
const path = require('path');
const [modules, executablePath, jobFile] = process.argv.slice(2);
const { chromium } = require(path.join(modules, 'playwright-core'));
const axe = fs.readFileSync(path.join(modules, 'axe-core', 'axe.min.js'), 'utf8');
const job = JSON.parse(fs.readFileSync(jobFile, 'utf8'));

async function take(step, page) {
  if (step.eval) return page.evaluate(step.eval);
  if (step.click) return page.click(step.click);
  if (step.wait) return void await page.waitForSelector(step.wait, { state: 'attached' });
  if (step.fill) return page.fill(step.fill[0], step.fill[1]);
  if (step.select) return page.selectOption(step.select[0], step.select[1]);
  if (step.press) return page.keyboard.press(step.press);
  if (step.goto) return page.evaluate((hash) => { location.hash = hash; return new Promise((done) => setTimeout(done, 60)); }, step.goto);
  if (step.shot) return void await page.screenshot({ path: step.shot, fullPage: Boolean(step.whole) });
  if (step.pdf) return void await page.pdf({ path: step.pdf, format: 'A4', printBackground: true, margin: { top: '12mm', bottom: '12mm', left: '12mm', right: '12mm' } });
  if (step.axe) {
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    return found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
  }
  throw new Error(`unknown step ${JSON.stringify(step)}`);
}

(async () => {
  const browser = await chromium.launch({ executablePath, timeout: 300000, args: ['--no-sandbox', '--force-color-profile=srgb'] });
  const context = await browser.newContext({
    viewport: { width: job.width || 1280, height: job.height || 900 }, reducedMotion: 'reduce', colorScheme: job.dark ? 'dark' : 'light', javaScriptEnabled: job.scripts !== false });
  // The tool that checks is put in by the debugger, which no policy of the page stops.
  if (job.scripts !== false) await context.addInitScript({ content: axe });
  context.setDefaultTimeout(300000);
  const page = await context.newPage();
  const said = [];
  const asked = [];
  page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => said.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => { said.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => asked.push(request.url()));
  if (job.print) await page.emulateMedia({ media: 'print' });
  const began = Date.now();
  await page.goto(`file://${job.page}${job.hash || ''}`);
  const loaded = Date.now() - began;
  const results = [];
  for (const step of job.steps || []) results.push((await take(step, page)) ?? null);
  await browser.close();
  console.log(JSON.stringify({ said, asked: asked.slice(1), results, loaded }));
})().catch((error) => { console.error(error); process.exit(1); });
