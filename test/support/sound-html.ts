import { expect } from "chai";

const VOID = new Set(["meta", "input", "br", "link", "img", "hr"]);
const TAG = /<(\/?)([a-z][a-z0-9]*)((?:\s+[a-z-]+(?:="[^"<>]*")?)*)\s*(\/?)>/gi;

/** Expects a whole document: tags that match, one heading, names for all controls, ids that exist and are unique. */
export function expectSoundHtml(document: string): void {
  expect(document).to.match(/^<!doctype html>\n<html lang="en"/);
  const markup = document.replace(/<style>[\s\S]*?<\/style>/, "").replace("<!doctype html>", "");
  expect(markup.replaceAll(TAG, ""), "text between tags").not.to.match(/[<>]/);
  expectMatchingTags(markup);
  expect(markup.match(/<h1[ >]/g)).to.have.length(1);
  expect(markup).to.match(/<title>[^<]+<\/title>/);
  expectNamedControls(markup);
}

function expectMatchingTags(markup: string): void {
  const open: string[] = [];
  for (const [tag, closing, name = "", , selfClosing] of markup.matchAll(TAG)) {
    if (closing) expect(open.pop(), tag).to.equal(name);
    else if (!selfClosing && !VOID.has(name)) open.push(name);
  }
  expect(open).to.deep.equal([]);
}

function expectNamedControls(markup: string): void {
  const ids = [...markup.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id);
  expect(new Set(ids).size).to.equal(ids.length);
  for (const [input] of markup.matchAll(/<input(?![^>]*(?:type="hidden"| hidden>))[^>]*>/g)) {
    const id = /\sid="([^"]+)"/.exec(input)?.[1];
    expect(markup, input).to.contain(`<label for="${id}">`);
    const described = /aria-describedby="([^"]+)"/.exec(input)?.[1]?.split(" ") ?? [];
    expect(ids).to.include.members(described);
  }
  for (const [, label] of markup.matchAll(/<button[^>]*>([^<]*)<\/button>/g)) expect(label).not.to.equal("");
  for (const [frame] of markup.matchAll(/<iframe[^>]*>/g)) expect(frame).to.contain('title="');
}
