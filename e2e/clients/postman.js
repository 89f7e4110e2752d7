// Makes a Postman collection out of an OpenAPI description and runs it with newman.
// Arguments: the description's file, base URL, token.
const { readFileSync } = require('node:fs');
const { convertV2 } = require('openapi-to-postmanv2');
const newman = require('newman');

const [file, baseUrl, token] = process.argv.slice(2);

// What is run of the description, in this order: what the service keeps is what the
// request before left there.
const journey = [
  ['GET', 'accounts/api/me'],
  ['GET', 'accounts/api/organizations/:organizationId/environments'],
  ['GET', 'organizations/:organizationId/regions'],
  ['GET', 'stores'],
  ['GET', 'stores/:storeId'],
  ['PUT', 'keys/:keyId'],
  ['GET', 'keys/:keyId'],
  ['HEAD', 'keys/:keyId'],
  ['GET', 'partitions/:partitionId/keys'],
  ['GET', 'stores/:storeId/partitions'],
  ['GET', 'partitions/:partitionId'],
  ['GET', 'api/v1/organizations/:organizationId'],
  ['DELETE', 'keys/:keyId'],
  ['GET', 'keys/:keyId'],
];

const requests = [];
function collect(item) {
  (item.item || []).forEach(collect);
  if (item.request) requests.push(item);
}

function find([method, end]) {
  const found = requests.find(({ request }) => request.method === method && request.url.path.join('/').endsWith(end));
  if (!found) throw new Error(`the description has no ${method} …/${end}`);
  const item = structuredClone(found);
  delete item.request.auth; // the collection's
  delete item.id;
  const now = Date.now(); // once: a day and a millisecond is too long a range
  const yesterday = new Date(now - 24 * 3600 * 1000).toISOString();
  item.request.url.query = item.request.url.query
    .filter((q) => ['startDate', 'endDate', 'period'].includes(q.key))
    .map((q) => ({ ...q, value: { startDate: yesterday, endDate: new Date(now).toISOString() }[q.key] ?? q.value }));
  item.request.url.variable.filter((v) => v.key === 'keyId').forEach((v) => { v.value = 'postman'; });
  if (method === 'PUT') {
    item.request.body.raw = JSON.stringify({ keyId: 'postman', valueType: 'STRING', stringValue: 'one' });
  }
  return item;
}

convertV2({ type: 'string', data: readFileSync(file, 'utf8') }, { parametersResolution: 'Example' }, (error, made) => {
  if (error || !made.result) throw error || new Error(made.reason);
  const collection = made.output[0].data;
  collect(collection);
  collection.item = journey.map(find);
  collection.auth = { type: 'bearer', bearer: [{ key: 'token', value: token, type: 'string' }] };
  collection.variable = [{ key: 'baseUrl', value: baseUrl }];
  console.log(`version ${require('newman/package.json').version}`);
  newman.run({ collection, reporters: [] }, (failed, summary) => {
    if (failed) throw failed;
    for (const { item, response, requestError } of summary.run.executions) {
      const path = `/${item.request.url.path.join('/')}`;
      console.log(`${item.request.method} ${path}\t${response ? response.code : requestError}\t${response ? response.text().replaceAll('\n', ' ') : ''}`);
    }
  });
});
