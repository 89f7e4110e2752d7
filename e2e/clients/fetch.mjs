// The fetch of Node. Arguments: base URL, keys' path, token.
const [base, path, token] = process.argv.slice(2);
const keys = base + path;

async function send(what, method, key, value) {
  const headers = { Authorization: `Bearer ${token}` };
  let body;
  if (value !== undefined) {
    headers['Content-Type'] = 'application/json';
    body = JSON.stringify({ keyId: key, valueType: 'STRING', stringValue: value });
  }
  const answer = await fetch(key === '' ? keys : `${keys}/${key}`, { method, headers, body });
  console.log(`${what}\t${answer.status}\t${await answer.text()}`);
}

console.log(`version ${process.versions.node.split('.')[0]}`);
await send('write', 'PUT', 'fetch', 'one');
await send('read', 'GET', 'fetch');
await send('list', 'GET', '');
await send('delete', 'DELETE', 'fetch');
await send('read what was deleted', 'GET', 'fetch');
