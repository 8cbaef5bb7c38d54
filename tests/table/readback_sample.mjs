// The rows of tests/support/table_sample.c by the same formulas, for comparing what other programs'
// readers find in the files that arrow_sample writes.
import assert from "node:assert/strict";
import path from "node:path";

export const rowsCounts = [0, 1, 7, 65536, 65537, 150000];
export const batchRows = 16384;

export const columns = [
  { name: "org_id", type: "utf8", nullable: false },
  { name: "quantity", type: "decimal", nullable: false },
  { name: "limit", type: "decimal", nullable: true },
  { name: "count", type: "int64", nullable: false },
  { name: "at", type: "timestamp", nullable: true },
  { name: "day", type: "date", nullable: true },
  { name: "is_final", type: "bool", nullable: false },
  { name: "is_held", type: "bool", nullable: true },
  { name: "note", type: "utf8", nullable: true },
];

export const metadata = [
  ["stage", "meter"],
  ["label", "naïve ☃"],
  ["nothing", ""],
];

const greatest = 10n ** 38n - 1n;
const one = 10n ** 15n;

function org(row) {
  if (row % 7 === 3) return `naïve ☃ 😀 ${row}`;
  return row % 5 === 0 ? "" : `org-${row}`;
}

function quantity(row) {
  if (row % 11 === 0) return greatest;
  if (row % 11 === 1) return -greatest;
  return BigInt(row - 5000) * 1234567890123456789n * 1000003n + BigInt(row);
}

function count(row) {
  if (row % 13 === 0) return -(2n ** 63n);
  if (row % 13 === 1) return 2n ** 63n - 1n;
  return -BigInt(row) * BigInt(row);
}

// Decimals as counts of 10^-15, times as microseconds, all BigInt; days as numbers.
export function sampleRow(row) {
  return {
    org_id: org(row),
    quantity: quantity(row),
    limit: row % 3 === 0 ? null : -BigInt(row) * one,
    count: count(row),
    at: row % 4 === 1 ? null : 1790000000000000n + BigInt(row) * 1000003n,
    day: row % 9 === 4 ? null : 20000 - (row % 30000),
    is_final: row % 3 === 1,
    is_held: row % 5 === 2 ? null : row % 2 === 0,
    note: row % 6 !== 0 ? null : row % 12 === 0 ? "" : `note ${row}`,
  };
}

// Units of 10^-15 with all their decimals.
export function decimalText(units) {
  const digits = (units < 0n ? -units : units).toString().padStart(16, "0");
  return `${units < 0n ? "-" : ""}${digits.slice(0, -15)}.${digits.slice(-15)}`;
}

export function sampleFiles() {
  assert.equal(process.argv.length, 3, "usage: node readback_….mjs FOLDER (made by arrow_sample)");
  return rowsCounts.map((rowsCount) => ({
    rowsCount,
    file: path.join(process.argv[2], `sample-${rowsCount}.arrow`),
  }));
}
