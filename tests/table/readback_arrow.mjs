// Reads what arrow_sample wrote with Arrow's own JavaScript reader and compares every value. Raw
// words are compared: that reader prints decimals without their scale and times as doubles.
import assert from "node:assert/strict";
import fs from "node:fs";
import { DateUnit, MetadataVersion, RecordBatchReader, TimeUnit, Type } from "apache-arrow";
import { batchRows, columns, metadata, sampleFiles, sampleRow } from "./readback_sample.mjs";

function checkType(type, wanted) {
  const checks = {
    utf8: () => assert.equal(type.typeId, Type.Utf8),
    decimal: () =>
      assert.deepEqual(
        [type.typeId, type.precision, type.scale, type.bitWidth],
        [Type.Decimal, 38, 15, 128],
      ),
    int64: () =>
      assert.deepEqual([type.typeId, type.bitWidth, type.isSigned], [Type.Int, 64, true]),
    timestamp: () =>
      assert.deepEqual(
        [type.typeId, type.unit, type.timezone],
        [Type.Timestamp, TimeUnit.MICROSECOND, "UTC"],
      ),
    date: () => assert.deepEqual([type.typeId, type.unit], [Type.Date, DateUnit.DAY]),
    bool: () => assert.equal(type.typeId, Type.Bool),
  };
  checks[wanted]();
}

function checkSchema(schema) {
  assert.equal(schema.metadataVersion, MetadataVersion.V5);
  assert.deepEqual([...schema.metadata.entries()], metadata);
  assert.equal(schema.fields.length, columns.length);
  columns.forEach(({ name, type, nullable }, index) => {
    const field = schema.fields[index];
    assert.deepEqual([field.name, field.nullable], [name, nullable]);
    checkType(field.type, type);
  });
}

const decoder = new TextDecoder("utf-8", { fatal: true });

// The value at a row of a column's raw buffers.
function rawValue(data, type, row) {
  switch (type) {
    case "utf8":
      return decoder.decode(
        data.values.subarray(data.valueOffsets[row], data.valueOffsets[row + 1]),
      );
    case "decimal": {
      const words = data.values.subarray(row * 4, row * 4 + 4);
      const unsigned = words.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
      return BigInt.asIntN(128, unsigned);
    }
    case "bool":
      return ((data.values[row >> 3] >> (row & 7)) & 1) === 1;
    default:
      return data.values[row];
  }
}

function isNull(data, row) {
  const bits = data.nullBitmap;
  return bits !== undefined && bits.length > 0 && ((bits[row >> 3] >> (row & 7)) & 1) === 0;
}

function checkBatch(batch, firstRow) {
  const nulls = columns.map(() => 0);
  for (let index = 0; index < batch.numRows; index++) {
    const wanted = sampleRow(firstRow + index);
    columns.forEach(({ name, type }, column) => {
      const data = batch.data.children[column];
      const found = isNull(data, index) ? null : rawValue(data, type, index);
      nulls[column] += found === null ? 1 : 0;
      if (found !== wanted[name]) {
        assert.fail(`row ${firstRow + index}, ${name}: ${found} instead of ${wanted[name]}`);
      }
    });
  }
  columns.forEach((_, column) =>
    assert.equal(batch.data.children[column].nullCount, nulls[column]),
  );
}

for (const { rowsCount, file } of sampleFiles()) {
  const reader = RecordBatchReader.from(fs.readFileSync(file)).open();
  assert.ok(reader.isFile());
  checkSchema(reader.schema);
  let row = 0;
  let batchesCount = 0;
  for (const batch of reader) {
    checkBatch(batch, row);
    row += batch.numRows;
    batchesCount += batch.numRows > 0 ? 1 : 0;
  }
  assert.equal(row, rowsCount);
  assert.equal(batchesCount, Math.ceil(rowsCount / batchRows));
}
console.log("apache-arrow reads all samples as they were written");
