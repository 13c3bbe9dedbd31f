// Elements in one expression. Whatever comes from a dataset or from the server goes in as text, never as markup.

export function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (value === undefined || value === null) continue;
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else if (name === "data") Object.assign(element.dataset, value);
        else if (name.startsWith("aria")) element.setAttribute(`aria-${name.slice(4).toLowerCase()}`, value);
        else if (name in element) element[name] = value;
        else element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
}

// What keys do, hidden at first. rows: [keys, meaning] each.
export function keyList(rows) {
    const cells = rows.flatMap(([keys, meaning]) => [make("dt", {}, keys), make("dd", {}, meaning)]);
    return make("dl", { className: "ace-keys", hidden: true }, ...cells);
}

// Makes elements the children of one, in this order. What stays is not touched, and the one with the focus is never moved, but
// others around it: it would lose the focus.
export function placeChildren(parent, elements) {
    const kept = new Set(elements);
    for (const there of [...parent.children]) if (!kept.has(there)) there.remove();
    let next = parent.firstElementChild;
    for (const element of elements) {
        if (element.parentElement === parent && element.contains(document.activeElement)) {
            while (next !== element) {
                const later = next;
                next = next.nextElementSibling;
                parent.append(later);
            }
        }
        if (element === next) next = next.nextElementSibling;
        else parent.insertBefore(element, next);
    }
}

// kind: further classes.
export function button(text, kind, onclick, properties = {}) {
    return make("button", { type: "button", className: `ace-button ${kind}`.trim(), onclick, ...properties }, text);
}

// icon: a class of PrimeIcons, which the front end has.
export function iconButton(icon, title, onclick) {
    return make("button", { type: "button", className: `ace-icon pi ${icon}`, title, ariaLabel: title, onclick });
}

export function choice(label, options, value, onchange) {
    const select = make("select", { title: label, ariaLabel: label, onchange: () => onchange(select.value) });
    setOptions(select, options, value);
    return select;
}

// options: [value, text] each. The same ones stay: somebody may have the list open.
export function setOptions(select, options, value) {
    const there = [...select.options].map((option) => [option.value, option.textContent]);
    if (JSON.stringify(there) !== JSON.stringify(options)) {
        select.replaceChildren(...options.map(([key, text]) => make("option", { value: key }, text)));
    }
    select.value = options.some(([key]) => key === value) ? value : (options[0]?.[0] ?? "");
}

export function isTyping(target) {
    return target.isContentEditable || (target.matches?.("input, textarea, select") ?? false);
}

// Whether a key is for the input method, which chooses a character with it: browsers say so in two ways.
export function isComposing(event) {
    return event.isComposing || event.keyCode === 229;
}

// Loads style sheets beside a module, each once.
export function useStyles(module, ...names) {
    for (const name of names) {
        const { href } = new URL(name, module);
        if ([...document.querySelectorAll("link[rel=stylesheet]")].some((link) => link.href === href)) continue;
        document.head.append(make("link", { rel: "stylesheet", href }));
    }
}
