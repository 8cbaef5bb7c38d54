// Reads what arrow_sample wrote with polars and compares every value. Polars shows a decimal's
// scale in its text, so decimals are compared as text, times and counts by their integers.
import assert from "node:assert/strict";
import fs from "node:fs";
import pl from "nodejs-polars";
import { columns, decimalText, sampleFiles, sampleRow } from "./readback_sample.mjs";

const types = {
  utf8: "DataType(String)",
  decimal: "DataType(Decimal(38,15))",
  int64: "DataType(Int64)",
  timestamp: "DataType(Datetime(us,UTC))",
  date: "DataType(Date)",
  bool: "DataType(Bool)",
};

function columnValues(frame, { name, type }) {
  const column = frame.getColumn(name);
  switch (type) {
    case "decimal":
    case "int64":
      return column.cast(pl.Utf8).toArray();
    case "timestamp":
      return column.cast(pl.Int64).cast(pl.Utf8).toArray();
    case "date":
      return column.cast(pl.Int32).toArray();
    default:
      return column.toArray();
  }
}

function wantedValue(value, type) {
  if (value === null) return null;
  if (type === "decimal") return decimalText(value);
  return type === "int64" || type === "timestamp" ? value.toString() : value;
}

for (const { rowsCount, file } of sampleFiles()) {
  const frame = pl.readIPC(fs.readFileSync(file));
  assert.deepEqual(frame.shape, { height: rowsCount, width: columns.length });
  assert.deepEqual(
    Object.entries(frame.schema).map(([name, type]) => [name, type.toString()]),
    columns.map(({ name, type }) => [name, types[type]]),
  );
  for (const column of columns) {
    const found = columnValues(frame, column);
    assert.equal(found.length, rowsCount);
    found.forEach((value, row) => {
      const wanted = wantedValue(sampleRow(row)[column.name], column.type);
      if (value !== wanted) {
        assert.fail(`row ${row}, ${column.name}: ${value} instead of ${wanted}`);
      }
    });
  }
}
console.log("polars reads all samples as they were written");
