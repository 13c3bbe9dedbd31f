// The page's words in the artist's language.
import { inLanguage } from "../../shared/page.js";
import { translate } from "../../translation/translate.js";
import { chinese } from "./chinese.js";
import { english } from "./english.js";

export const texts = () => inLanguage({ en: english, zh: chinese });

// What went wrong. The server's own sentence says more, but only in English.
export function errorText(error) {
    const words = texts();
    const known = words.errors[error.code];
    if (words === english && error.code !== "away") return error.message;
    return known ? known(error.message) : error.message;
}

const said = (text) => (texts() === chinese ? translate(text) : text);

// What a check of proposed texts is called; it may be made for each language.
export function checkName(name) {
    const [kind, ...more] = name.split(" ");
    return [texts().labels.checks[kind] ?? kind, ...more].join(" ");
}

// Why no text was proposed: what the check said, which comes first where it was one.
export function labelReason(reason) {
    const [, check, why] = reason.match(/^([a-z]+(?: \w+)?): (.*)$/s) ?? [];
    return check ? `${checkName(check)}: ${said(why)}` : said(reason);
}

// Why a proposed text was dropped.
export const droppedReason = said;

// Why a pair was rejected: the kinds of reasons.
export function reasonKinds(item) {
    const kinds = item.checks.map((check) => texts().checks[check] ?? check.replaceAll("_", " "));
    return [...new Set(kinds)].join(" · ");
}

// And what each check said.
export const reasonText = (item) => item.reasons.map(said).join("; ");
