// Strict JSON in the one spelling that FORMAT.md allows: what is spelled otherwise is a SyntaxError.

const DEEPEST = 64; // objects and lists within each other; a bundle has 6
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const LONGEST_NUMBER = 100; // characters; none that is canonical and fits a field has more than 25

/** Compare texts by code points; `<` would compare UTF-16 units, which sort U+1F600 before U+FFFD. */
export function byCodePoints(a, b) {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)); // the bytes of UTF-8 sort as the code points do
}

/** A float64 as canonical JSON has it: the shortest digits that read back, exponents from 1e16 up and below 1e-4. */
function spelledNumber(x) {
  const [digits, exponent] = x.toExponential().split("e");
  const magnitude = Math.abs(exponent).toString().padStart(2, "0");
  if (exponent < -4 || exponent >= 16) return `${digits}e${exponent < 0 ? "-" : "+"}${magnitude}`;
  const plain = Object.is(x, -0) ? "-0" : String(x);
  return plain.includes(".") ? plain : `${plain}.0`;
}

function spelledText(text, ascii) {
  const compact = JSON.stringify(text); // escapes just what JSON demands
  if (!ascii) return compact;
  return compact.replace(/[^\0-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * Parse `text`. Objects become Maps, whole numbers BigInts, numbers with a fraction or an exponent Numbers.
 * @param {{canonical: boolean}} options  canonical: as the metadata, sorted and in ASCII; else as the header
 */
export function parse(text, { canonical }) {
  let at = 0;
  const fail = (why) => {
    throw new SyntaxError(`${why} at character ${at} of the JSON`);
  };
  const take = (token) => {
    if (!text.startsWith(token, at)) fail(`no ${token}`);
    at += token.length;
  };

  function string() {
    take('"');
    let end = at;
    for (; text[end] !== '"'; end += text[end] === "\\" ? 2 : 1) if (end >= text.length) fail("no end of a text");
    const raw = text.slice(at - 1, end + 1);
    const read = JSON.parse(raw);
    if (/\p{Surrogate}/u.test(read)) fail("half a pair of surrogates");
    if (spelledText(read, canonical) !== raw) fail("an escape that is not canonical");
    at = end + 1;
    return read;
  }

  function number() {
    NUMBER.lastIndex = at;
    const [raw, fraction, exponent] = NUMBER.exec(text) ?? fail("no value");
    if (raw.length > LONGEST_NUMBER) fail("a number too long");
    const whole = fraction === undefined && exponent === undefined;
    const read = whole ? BigInt(raw) : Number(raw);
    if ((whole ? String(read) : spelledNumber(read)) !== raw) fail("a number that is not canonical");
    at += raw.length;
    return read;
  }

  function list(depth) {
    const items = [];
    take("[");
    while (text[at] !== "]") {
      if (items.length) take(",");
      items.push(value(depth + 1));
    }
    take("]");
    return items;
  }

  function object(depth) {
    const members = new Map();
    let last;
    take("{");
    while (text[at] !== "}") {
      if (members.size) take(",");
      const key = string();
      if (members.has(key)) fail("a key twice");
      if (canonical && members.size && byCodePoints(last, key) > 0) fail("keys that are not sorted");
      take(":");
      members.set(key, value(depth + 1));
      last = key;
    }
    take("}");
    return members;
  }

  function value(depth) {
    if (depth >= DEEPEST && "[{".includes(text[at])) fail("too deep nesting");
    if (text[at] === "{") return object(depth);
    if (text[at] === "[") return list(depth);
    if (text[at] === '"') return string();
    for (const [word, meaning] of [["true", true], ["false", false], ["null", null]]) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return meaning;
      }
    }
    return number();
  }

  const read = value(0);
  if (at !== text.length) fail("more than one value");
  return read;
}
