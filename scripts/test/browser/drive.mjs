// Opens the page in headless Chromium, from an origin that the gateway allows and from one that it doesn't, and checks
// that all calls went by HTTP/1.1. Arguments: chromium's path, the page's script, the file of the fleet's variables, and
// the command that starts the fleet.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const deadline = 180_000;
const [browserPath, script, variables, ...start] = process.argv.slice(2);
const page = '<!doctype html><meta charset="utf-8"><title>A shop</title><script type="module" src="/page.js"></script>';
const bundle = await readFile(script, "utf-8");
const server = createServer((request, response) => {
  const isScript = request.url === "/page.js";
  response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
  response.end(isScript ? bundle : page);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address();
const allowed = `http://127.0.0.1:${port}`;
// The same page, but to a browser another origin.
const foreign = `http://localhost:${port}`;

let browser;
try {
  const env = { ...process.env, FLOTILLA_GATEWAY__EDGE__CORS_ORIGINS: allowed };
  execFileSync(start[0], start.slice(1), { env, stdio: "inherit" });
  const text = await readFile(variables, "utf-8");
  const gateway = /FLOTILLA_GATEWAY_URL=['"]?([^'"\n]+)/.exec(text)?.[1];
  assert(gateway, "the fleet says where its gateway is");
  const secrets = JSON.parse(await readFile(variables.replace(/env$/, "secrets.json"), "utf-8"));
  const operator = { email: secrets.admin_email, password: secrets.admin_password };

  browser = await chromium.launch({ executablePath: browserPath, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
  const visit = async (origin, stranger) => {
    const tab = await browser.newPage();
    const devtools = await tab.context().newCDPSession(tab);
    const protocols = new Map();
    devtools.on("Network.responseReceived", ({ response }) => {
      if (response.url.startsWith(gateway)) protocols.set(response.protocol, (protocols.get(response.protocol) ?? 0) + 1);
    });
    await devtools.send("Network.enable");
    tab.on("pageerror", (error) => console.error(`browser: ${error}`));
    const task = encodeURIComponent(JSON.stringify({ gateway, operator, stranger }));
    await tab.goto(`${origin}/#${task}`);
    await tab.waitForFunction(() => window.outcome !== undefined, undefined, { timeout: deadline });
    const outcome = await tab.evaluate(() => window.outcome);
    for (const line of outcome.lines) console.log(`browser: ${line}`);
    assert(outcome.failure === undefined, outcome.failure);
    await tab.close();
    return protocols;
  };
  const protocols = await visit(allowed, false);
  assert.deepEqual([...protocols.keys()], ["http/1.1"], "calls went by another protocol");
  console.log(`browser: ${protocols.get("http/1.1")} answers over HTTP/1.1 from another origin`);
  await visit(foreign, true);
} finally {
  await browser?.close();
  server.close();
}
