// Looks at the page of a running server as a person would: `node page.mjs PHASE URL DIRECTORY`.
//
// Phases: `quiet`, `firing` (silences the alert and ends the silence), `over`; and `alike` for itself, with rules and
// integrations that cannot be told apart. All but that one take screenshots in both themes and at
// both widths, runs axe, and looks for what no answer may hold. Prints what is wrong and exits with 1.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const [phase, url, directory] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SECRET = 'canary';
const problems = [];
const expect = (what, holds) => {
  console.log(`${holds ? 'ok' : 'NOT OK'}: ${what}`);
  if (!holds) problems.push(what);
};

mkdirSync(directory, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});

async function open(theme, width) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, bypassCSP: true });
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(`error on the page: ${error}`));
  page.on('response', async (response) => {
    const body = await response.text().catch(() => '');
    if (body.includes(SECRET)) problems.push(`${response.url()} shows a secret`);
  });
  await page.goto(`${url}/?theme=${theme}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.getByText('Every 5 s').waitFor();
  return { context, page };
}

async function look(name) {
  for (const theme of ['light', 'dark']) {
    for (const width of [1440, 390]) {
      const { context, page } = await open(theme, width);
      await page.locator('.uplot').first().waitFor();
      await page.waitForLoadState('networkidle').catch(() => {});
      await page.screenshot({ path: `${directory}/${name}-${theme}-${width}.png`, fullPage: true });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(`${name} ${theme} ${width}: nothing scrolls sideways`, overflow <= 0);
      await page.evaluate(axe);
      const found = await page.evaluate(() =>
        globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'] }),
      );
      for (const violation of found.violations) {
        console.log(`  ${violation.id}: ${violation.help}`);
        for (const node of violation.nodes.slice(0, 3)) console.log(`    ${node.html.slice(0, 160)}`);
      }
      expect(`${name} ${theme} ${width}: axe finds nothing`, found.violations.length === 0);
      await context.close();
    }
  }
}

const { page } = await open('light', 1440);
const headline = page.getByRole('heading', { level: 1 });
const model = page.getByRole('img', { name: /^ModelResultHigh over 15 minutes/ });

if (phase === 'quiet') {
  // The machine that runs the tests may be busy enough for its own rule to be pending.
  expect('says that nothing fires', !/firing/.test(await headline.textContent()));
  expect('the title says so', (await page.title()) === 'Foghorn');
  await model.waitFor();
  const spoken = await model.getAttribute('aria-label');
  expect(`the chart has its red line at 0.75: ${spoken}`, spoken.includes('Red line at 0.75'));
  const points = await page.evaluate(async () => {
    const now = Math.floor(Date.now() / 1000);
    const query = new URLSearchParams({ query: 'model_result', start: now - 890, end: now, step: 5 });
    const answer = await (await fetch(`/api/v1/query_range?${query}`)).json();
    return answer.data.result[0].values.length;
  });
  expect(`15 minutes of the model are there: ${points} points at 5 s`, points >= 170);
  let asked = 0;
  page.on('request', (request) => (asked += request.url().includes('query_range') ? 1 : 0));
  await page.waitForTimeout(11_000);
  const charts = await page.locator('.uplot').count();
  expect(`charts are asked for every 5 s: ${asked} times in 11 s for ${charts} charts`, asked >= 2 * charts && asked <= 3 * charts);
  await look('quiet');
}

if (phase === 'firing') {
  const card = page.getByRole('article', { name: 'ModelResultHigh, firing' });
  await card.waitFor({ timeout: 20_000 });
  expect('the headline says so', /alert is firing/.test(await headline.textContent()));
  await card.getByText(/told through discord/).waitFor({ timeout: 20_000 });
  expect('the card says who was told', true);
  await page.waitForFunction(() => document.title.startsWith('(1) Firing'), undefined, { timeout: 20_000 });
  expect('the title says so', true);
  await look('firing');
  await page.getByRole('button', { name: 'Silence ModelResultHigh for 1 hour' }).click();
  const silenced = page.getByRole('article', { name: 'ModelResultHigh, silenced' });
  await silenced.waitFor({ timeout: 20_000 });
  const state = async () => (await (await fetch(`${url}/api/v2/alerts`)).json())[0]?.status.state;
  expect('the button silenced the alert', (await state()) === 'suppressed');
  await look('silenced');
  await page.getByRole('button', { name: 'End silence of ModelResultHigh' }).click();
  await card.waitFor({ timeout: 20_000 });
  expect('the button ended the silence', (await state()) === 'active');
  await page.goto(`${url}/#/alerts?receiver=discord&filter=${encodeURIComponent('{alertname="ModelResultHigh"}')}`);
  await page.getByText('Shown are alerts with').waitFor();
  expect("Alertmanager's link shows the alert", await card.isVisible());
  await page.goto(`${url}/graph?g0.expr=${encodeURIComponent('model_result > 0.75')}&g0.tab=1`);
  await page.getByRole('img', { name: /^Result over/ }).waitFor();
  expect("Prometheus' link shows the expression", (await page.locator('#expr').inputValue()) === 'model_result > 0.75');
}

if (phase === 'over') {
  const quiet = () => !/firing/.test(document.querySelector('h1')?.textContent ?? 'firing') && document.title === 'Foghorn';
  await page.waitForFunction(quiet, undefined, { timeout: 20_000 });
  expect('says that nothing fires any more', true);
  await page.getByText(/resolved/).first().waitFor({ timeout: 20_000 });
  expect('the list says that the end was told', true);
}

if (phase === 'alike') {
  const shown = async (what, locator, wanted) => {
    await locator.nth(wanted - 1).waitFor({ timeout: 20_000 }).catch(() => {});
    expect(`${what}: ${await locator.count()}`, (await locator.count()) === wanted);
  };
  await shown('alerts with the same labels', page.getByRole('article', { name: 'Same, firing' }), 2);
  await shown('rules of the same name that fail', page.getByText('cannot be evaluated'), 2);
  await shown('integrations of the same kind that were told', page.getByText('Delivered in'), 4);
  expect('the headline says so', /2 alerts are firing|Two alerts are firing/.test(await headline.textContent()));
}

await browser.close();
if (problems.length > 0) {
  console.log(`\n${problems.length} problems:\n${problems.join('\n')}`);
  process.exit(1);
}
