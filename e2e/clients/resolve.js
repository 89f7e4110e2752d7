// Leads the vendor's names to this machine, as a name service does that leads them to a
// gateway.
const dns = require('node:dns');

const real = dns.lookup;
dns.lookup = (name, options, callback) => {
  const [given, done] = typeof options === 'function' ? [{}, options] : [options, callback];
  if (!/\.mulesoft\.com$/.test(name)) return real(name, given, done);
  if (given.all) return process.nextTick(done, null, [{ address: '127.0.0.1', family: 4 }]);
  return process.nextTick(done, null, '127.0.0.1', 4);
};
