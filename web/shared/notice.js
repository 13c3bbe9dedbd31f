// A notice with buttons at the lower edge of the page, where it covers no node of an opened template. The host's own toasts take
// text alone.
import { make } from "./dom.js";
import { inLanguage } from "./page.js";

const SHOWN_MS = 60000; // a training takes long, and whoever comes back to it looks later
const ERROR = "ace-error";
const TEXTS = { en: { close: "Close" }, zh: { close: "关闭" } };
const STYLE = `
.ace-notices { position: fixed; bottom: 20px; left: 50%; transform: translateX(-50%); z-index: 1200; display: flex; flex-direction: column; gap: 8px; }
.ace-notice { position: relative; width: 22rem; box-sizing: border-box; padding: 12px 32px 12px 14px; border-radius: 8px;
    color: var(--input-text, #ddd); background: var(--comfy-menu-bg, #222); border: 1px solid var(--border-color, #555);
    border-left: 4px solid #4caf7d; box-shadow: 0 4px 16px #0008; font: 14px/1.4 system-ui, sans-serif; }
.ace-notice.ace-error { border-left-color: #d9534f; }
.ace-notice b { display: block; margin-bottom: 2px; }
.ace-notice p { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
.ace-notice > .ace-close { position: absolute; top: 6px; right: 6px; width: 24px; height: 24px; border: 0; cursor: pointer;
    background: none; color: inherit; font-size: 16px; }
.ace-buttons { display: flex; gap: 6px; margin: 8px 0; }
.ace-buttons button { flex: 1 1 auto; white-space: nowrap; padding: 5px 10px; border-radius: 6px; cursor: pointer;
    font: inherit; font-size: 12px; color: var(--input-text, #ddd); background: var(--comfy-input-bg, #333); border: 1px solid var(--border-color, #555); }
.ace-buttons button:hover { filter: brightness(1.25); }
`;

export const BUTTONS_HEIGHT = 40; // pixels, of a row with its margins

// A row of buttons, of [label, what a click does] each.
export function buttonRow(buttons) {
    useStyle();
    const made = buttons.map(([label, onclick]) => make("button", { type: "button", textContent: label, onclick }));
    return make("div", { className: "ace-buttons" }, ...made);
}

// Shows a notice, below earlier ones, until it is closed or a minute is over. buttons: [label, what a click does, whether the
// notice stays then] each. topic: of which only the last one is shown.
export function showNotice(title, text, buttons = [], failed = false, topic = null) {
    useStyle();
    document.querySelector(".ace-notices") ?? document.body.append(make("div", { className: "ace-notices" }));
    const close = () => notice.remove();
    const row = buttonRow(buttons.map(([label, act, stays]) => [label, () => (stays || close(), act())]));
    const cross = make("button", { type: "button", className: "ace-close", textContent: "×", onclick: close });
    cross.setAttribute("aria-label", inLanguage(TEXTS).close);
    const notice = make("div", { className: `ace-notice ${failed ? ERROR : ""}` }, make("b", { textContent: title }));
    notice.setAttribute("role", failed ? "alert" : "status");
    notice.append(make("p", { textContent: text }), ...(buttons.length ? [row] : []), cross);
    const notices = document.querySelector(".ace-notices");
    if (topic) {
        notice.dataset.topic = topic;
        for (const earlier of [...notices.children]) if (earlier.dataset.topic === topic) earlier.remove();
    }
    notices.append(notice);
    setTimeout(close, SHOWN_MS);
}

export function useStyle() {
    if (document.getElementById("ace-style")) return;
    document.head.append(make("style", { id: "ace-style", textContent: STYLE }));
}
