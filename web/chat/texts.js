// The page's words in the artist's language.
import { app } from "../../../scripts/app.js";
import { english } from "./texts_en.js";
import { chinese } from "./texts_zh.js";

export const language = () => ((app.extensionManager.setting.get("Comfy.Locale") ?? "en").startsWith("zh") ? "zh" : "en");

export const texts = () => (language() === "zh" ? chinese : english);

// What went wrong. The server's own sentence says more, but only in English.
export function errorText(error) {
    const words = texts();
    const known = words.errors[error.code];
    if (words === english && error.code !== "away") return error.message;
    return known ? known(error.message) : error.message;
}
