"use strict";

const MOST_BUTTONS = 24;
const MOST_SHOWN = 200;

/** Buttons for the classes and for each category; the first of each leaves it to the seed. */
class Choices {
  constructor(place, app) {
    this.app = app;
    this.groups = [];
    const { about, labels } = app.subject;
    if (labels !== null) {
      const names = (label) => app.subject.className(label);
      this.add(place, "Class", about.classes, names, () => app.state.label, (label) => app.change({ label }));
    }
    for (const [name, count] of Object.entries(about.categories)) {
      const chosen = () => app.state.categories[name];
      const choose = (category) => app.change({ categories: { ...app.state.categories, [name]: category } });
      this.add(place, name, count, (category) => `${name} ${category}`, chosen, choose);
    }
  }

  add(place, title, count, nameOf, chosen, choose) {
    const list = element("div", { class: "list" });
    const group = { chosen, buttons: new Map() };
    const remember = (choice, text) => {
      const made = button(text, () => choose(choice));
      made.setAttribute("aria-pressed", String(chosen() === choice));
      group.buttons.set(choice, made);
      return made;
    };
    const fill = (sought) => {
      group.buttons.clear();
      const found = [];
      for (let choice = 0; choice < count && found.length <= MOST_SHOWN; choice++) {
        const name = nameOf(choice);
        if (name.toLowerCase().includes(sought) || String(choice) === sought) found.push([choice, name]);
      }
      const shown = found.slice(0, MOST_SHOWN).map(([choice, name]) => remember(choice, name));
      const rest = found.length > MOST_SHOWN ? [element("span", { class: "note" }, "more: type to find them")] : [];
      list.replaceChildren(remember(null, "The seed decides"), ...shown, ...rest);
    };
    const field = element("fieldset", {}, element("legend", {}, title));
    if (count > MOST_BUTTONS) {
      const search = element("input", { type: "search", placeholder: `Find one of ${count}`, "aria-label": `Find: ${title}` });
      search.addEventListener("input", () => fill(search.value.trim().toLowerCase()));
      field.append(search);
    }
    fill("");
    field.append(list);
    place.append(field);
    this.groups.push(group);
  }

  refresh() {
    for (const { chosen, buttons } of this.groups) {
      buttons.forEach((made, choice) => made.setAttribute("aria-pressed", String(chosen() === choice)));
    }
  }
}
