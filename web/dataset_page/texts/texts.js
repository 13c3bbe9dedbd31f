// The page's words in the artist's language.
import { inLanguage } from "../../shared/page.js";
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

// Why a pair was rejected: the kind in the artist's language, the numbers as the check said them.
export function reasonTexts(item) {
    const kinds = item.checks.map((check) => texts().checks[check] ?? check.replaceAll("_", " "));
    return { short: [...new Set(kinds)].join(" · "), long: item.reason };
}
