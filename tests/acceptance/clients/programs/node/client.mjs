// Calls an object storage over and over with the AWS SDK for JavaScript, until its stdin ends; one line of JSON each.
//
//   node client.mjs ENDPOINT BUCKET MILLISECONDS
//
// Its key comes from wherever the environment tells the SDK to take it. Nothing is tried twice.
import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";

// The packages lie where NODE_PATH says, which `import` does not look at.
const { S3 } = createRequire(import.meta.url)("@aws-sdk/client-s3");

const [endpoint, Bucket, milliseconds] = process.argv.slice(2);
const s3 = new S3({ endpoint, region: "eu-north-1", forcePathStyle: true, maxAttempts: 1 });
const Key = "object";
const calls = [
  () => s3.putObject({ Bucket, Key, Body: "body" }),
  async () => (await s3.getObject({ Bucket, Key })).Body.transformToString(),
  () => s3.listObjectsV2({ Bucket }),
];

let ended = false;
process.stdin.resume().on("end", () => (ended = true));
for (let number = 0; !ended; number++) {
  let error = "";
  try {
    await calls[number % calls.length]();
  } catch (caught) {
    error = `${caught.name}: ${caught.message}`;
  }
  console.log(JSON.stringify({ error }));
  await pause(Number(milliseconds));
}
