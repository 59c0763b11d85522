// What a JavaScript user does, in two steps: `store BUCKET` in a directory with large.bin, and `remove BUCKET`.
// Endpoint and credentials come from the environment.
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const s3 = new S3Client({ forcePathStyle: true, maxAttempts: 1 });

async function keysOf(bucket) {
  const keys = [];
  for await (const page of paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket: bucket })) {
    keys.push(...(page.Contents ?? []).map((each) => each.Key));
  }
  return keys;
}

async function store(bucket) {
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));

  const string = { Bucket: bucket, Key: "string.txt" };
  await s3.send(new PutObjectCommand({ ...string, Body: "héllo wörld", Metadata: { colour: "blue" } }));
  const found = await s3.send(new GetObjectCommand(string));
  const refused = await s3.send(new PutObjectCommand({ ...string, Body: "again", IfNoneMatch: "*" })).then(
    () => "stored",
    (error) => error.name,
  );

  const size = statSync("large.bin").size;
  const stream = { Bucket: bucket, Key: "stream/large.bin" };
  await s3.send(new PutObjectCommand({ ...stream, Body: createReadStream("large.bin"), ContentLength: size }));

  const parts = { Bucket: bucket, Key: "parts/large.bin", Body: createReadStream("large.bin") };
  await new Upload({ client: s3, params: parts, partSize: 5 * 1024 * 1024, queueSize: 4 }).done();
  const back = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: "parts/large.bin" }));
  await pipeline(back.Body, createWriteStream("back.bin"));

  const byUrl = { Bucket: bucket, Key: "presigned/by url" };
  const putUrl = await getSignedUrl(s3, new PutObjectCommand(byUrl), { expiresIn: 300 });
  const put = await fetch(putUrl, { method: "PUT", body: "by url" });
  const get = await fetch(await getSignedUrl(s3, new GetObjectCommand(byUrl), { expiresIn: 300 }));
  const shortUrl = await getSignedUrl(s3, new GetObjectCommand(byUrl), { expiresIn: 1 });
  await sleep(2500);
  const late = await fetch(shortUrl);
  await late.text();

  const folders = await s3.send(new ListObjectsV2Command({ Bucket: bucket, Delimiter: "/" }));
  return {
    string: await found.Body.transformToString(),
    metadata: found.Metadata,
    presigned: [put.status, get.status, await get.text()],
    expired: late.status,
    pages: await keysOf(bucket),
    prefixes: folders.CommonPrefixes.map((each) => each.Prefix),
    refused,
  };
}

async function remove(bucket) {
  const objects = (await keysOf(bucket)).map((key) => ({ Key: key }));
  const done = await s3.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: objects } }));
  await s3.send(new DeleteBucketCommand({ Bucket: bucket }));
  return { errors: (done.Errors ?? []).length };
}

const [step, bucket] = process.argv.slice(2);
console.log(JSON.stringify(await { store, remove }[step](bucket)));
