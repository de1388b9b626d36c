// Builds the wall page, compares a fresh build with the committed one, or runs the unit tests.
//
//   node build.mjs DIR           write the four files the daemon embeds into DIR
//   node build.mjs --check DIR   build elsewhere and fail when DIR holds anything else
//   node build.mjs --test        bundle test/*.test.ts and run them
//
// `cargo build` never calls this: what it embeds is the committed dist/.

import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const HERE = dirname(fileURLToPath(import.meta.url));
const SRC = join(HERE, "src");
const STATIC = ["index.html", "favicon.svg"];
const BUDGET = 25_000; // bytes of gzipped script and style: a TV stick on bad Wi-Fi loads this too
const OLD_BROWSERS = ["es2020", "chrome80", "firefox78"];
const NOTICE = "/*! Pulsegate wall page. Contains Preact (MIT licence, (c) 2015-present Jason Miller). */";

async function bundle(outdir) {
  mkdirSync(outdir, { recursive: true });
  await build({
    absWorkingDir: HERE,
    entryPoints: [join(SRC, "wall.ts"), join(SRC, "wall.css")],
    outdir,
    bundle: true,
    minify: true,
    format: "iife",
    target: OLD_BROWSERS,
    charset: "utf8",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    banner: { js: NOTICE },
    logLevel: "warning",
  });
  for (const name of STATIC) copyFileSync(join(SRC, name), join(outdir, name));
}

function reportSizes(dir) {
  let total = 0;
  for (const name of ["wall.js", "wall.css"]) {
    const bytes = readFileSync(join(dir, name));
    const packed = gzipSync(bytes, { level: 9 }).length;
    total += packed;
    console.log(`${name.padEnd(10)} ${bytes.length} B, ${packed} B gzipped`);
  }
  if (total > BUDGET) throw new Error(`${total} B gzipped is over the budget of ${BUDGET} B`);
}

async function check(committed) {
  const fresh = mkdtempSync(join(tmpdir(), "pulsegate-web-"));
  try {
    await bundle(fresh);
    const names = new Set([...readdirSync(fresh), ...readdirSync(committed)]);
    const stale = [...names].filter((name) => !sameFile(join(fresh, name), join(committed, name)));
    if (stale.length > 0) {
      console.error(`dist is stale: ${stale.join(", ")} (run: npm run build, and commit dist)`);
      process.exitCode = 1;
      return;
    }
    reportSizes(fresh);
    console.log("dist is what the sources build");
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function sameFile(a, b) {
  try {
    return readFileSync(a).equals(readFileSync(b));
  } catch {
    return false;
  }
}

async function test() {
  const out = mkdtempSync(join(tmpdir(), "pulsegate-web-test-"));
  try {
    const tests = readdirSync(join(HERE, "test")).filter((name) => name.endsWith(".test.ts"));
    await build({
      entryPoints: tests.map((name) => join(HERE, "test", name)),
      outdir: out,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      sourcemap: "inline",
      logLevel: "warning",
    });
    const files = readdirSync(out).map((name) => join(out, name));
    const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], { stdio: "inherit" });
    process.exitCode = run.status ?? 1;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

const [first, second] = process.argv.slice(2);
if (first === "--test") {
  await test();
} else if (first === "--check" && second) {
  await check(join(HERE, second));
} else if (first && !first.startsWith("--")) {
  await bundle(join(HERE, first));
  reportSizes(join(HERE, first));
} else {
  console.error("usage: node build.mjs DIR | --check DIR | --test");
  process.exitCode = 64;
}
