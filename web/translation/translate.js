// Sentences with gaps, as the server's code has them, into Chinese. What stands in a gap is translated in turn; a text of
// several lines or parts is translated part by part. What is not in the list stays as it is.
import { sentences } from "./sentences_zh.js";

const PARTS = [" · ", "; ", ", "];
const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

// A gap that the translation calls {#0} holds a number and nothing else, and one that it leaves out the ending of a word. A gap
// is on one line, unless the sentence itself has several.
function compile([english, chinese]) {
    const [first, ...rest] = english.split("{}");
    const anything = english.includes("\n") ? "([\\s\\S]*?)" : "([^\n]*?)";
    const named = (index) => (chinese.includes(`{${index}}`) ? anything : "(\\w*)");
    const gap = (index) => (chinese.includes(`{#${index}}`) ? "([-+]?\\d[\\d.]*%?)" : named(index));
    const source = rest.reduce((text, part, index) => text + gap(index) + escape(part), escape(first));
    const kind = { begins: Boolean(first), joins: JOINING.includes(english), said: english.replaceAll("{}", "").length };
    return { pattern: new RegExp(`^${source}$`), chinese, ...kind };
}

// What stands in quotes is a name, or somebody's own words.
const inGap = (text) => (/^(["']).*\1$/s.test(text) ? text : translate(text));

// Sentences that only join two: others have words like these of their own, so both must be known.
const JOINING = ["{} and {}", "{}. {}"];
const MOST_KNOWN = 500;

let compiled = null;
const known = new Map(); // translations by text: the same parts are met again and again

// begins: among those that begin with words of their own (true) or with a gap (false).
function matching(text, begins) {
    compiled ??= Object.entries(sentences).map(compile).sort((a, b) => b.said - a.said); // what says more comes first
    for (const { pattern, chinese, joins } of compiled.filter((one) => one.begins === begins)) {
        const found = text.match(pattern);
        if (!found || (joins && found.slice(1).some((part) => translate(part) === part))) continue;
        return chinese.replace(/\{#?(\d+)\}/g, (_, index) => inGap(found[Number(index) + 1]));
    }
    return null;
}

function inParts(text) {
    for (const separator of PARTS) {
        const parts = text.split(separator);
        const translated = parts.map((part) => matching(part, true) ?? matching(part, false));
        if (parts.length > 1 && translated.every((part) => part !== null)) return translated.join(separator === " · " ? " · " : "，");
    }
    return null;
}

export function translate(text) {
    if (!known.has(text)) {
        if (known.size >= MOST_KNOWN) known.clear();
        known.set(text, find(text));
    }
    return known.get(text);
}

// What begins with a gap may begin with anything, so it comes last.
function find(text) {
    const whole = matching(text, true) ?? inParts(text) ?? matching(text, false);
    if (whole !== null) return whole;
    const lines = text.split("\n");
    return lines.length > 1 ? lines.map(translate).join("\n") : text;
}
