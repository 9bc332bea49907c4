// What is wrong with a command line, in words that say how to mend it. The library that reads the
// arguments finds the same, and names it in fewer words.

import type { CAC, Command } from "cac";
import { nearestOf } from "../arguments/suggestion.ts";
import { CommandError } from "./failure.ts";

const shells = ["bash", "zsh", "fish", "powershell"];

/** `--dry-run` is `dryRun` among the options that were read. */
function typed(option: string): string {
  if (option.length === 1) return `-${option}`;
  return `--${option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function meant(given: string, names: readonly string[], otherwise: string): string {
  const nearest = nearestOf(given, names);
  return nearest === undefined ? otherwise : `did you mean ${nearest}?`;
}

/** The command that was asked for. Throws where the line names none, or what it does not take. */
export function commandOf(cli: CAC): Command {
  const { matchedCommand: command, args } = cli;
  if (command === undefined) {
    const names = cli.commands.map(({ name }) => name);
    const lists = "xmem --help lists them";
    if (args[0] === undefined) refuse(`no command was given; ${lists}`);
    refuse(`there is no command ${args[0]}; ${meant(args[0], names, lists)}`);
  }
  const help = `see xmem ${command.name} --help`;
  const options = [...command.options, ...cli.globalCommand.options].map(({ name }) => name);
  for (const name of Object.keys(cli.options)) {
    if (name === "--" || options.includes(name)) continue;
    const known = options.map(typed);
    refuse(`${command.name} has no option ${typed(name)}; ${meant(typed(name), known, help)}`);
  }
  const missing = command.args.find(({ required }, place) => required && args[place] === undefined);
  if (missing !== undefined) {
    refuse(`${command.name} needs the name of a ${missing.value}; ${help}`);
  }
  const tooMany = args.slice(command.args.length);
  if (tooMany.length > 0) {
    refuse(
      `${command.name} does not take ${tooMany.map((each) => `"${each}"`).join(", ")}; ${help}`,
    );
  }
  if (command.name === "complete" && !isCompletion(cli)) {
    refuse(`complete needs the name of a shell, one of ${shells.join(", ")}`);
  }
  for (const option of command.options) {
    if (!isNumber.test(option.rawName)) continue;
    for (const given of typedTexts(cli.rawArgs, option.name)) {
      if (/^\d+$/.test(given)) continue;
      refuse(`${typed(option.name)} is ${JSON.stringify(given)}, expected a whole number; ${help}`);
    }
  }
  return command;
}

/** What the help calls an option's number. */
const isNumber = /<(?:n|ms|uid|gid)>/;

/**
 * What was typed for an option. The library makes numbers of texts, and of an empty one or of spaces
 * it makes 0.
 */
function* typedTexts(argv: readonly string[], option: string): Generator<string> {
  for (const [place, word] of argv.entries()) {
    if (word === "--") return;
    const [, name = "", text] = /^--([^=]+)(?:=([\s\S]*))?$/.exec(word) ?? [];
    if (name.replaceAll(/-[a-z]/g, ([, letter = ""]) => letter.toUpperCase()) !== option) continue;
    const next = argv[place + 1];
    // One that has no value is found by the library.
    if (text !== undefined) yield text;
    else if (next !== undefined && !next.startsWith("-")) yield next;
  }
}

/** Whether a shell is named, or a shell asks what could follow. */
function isCompletion(cli: CAC): boolean {
  const [shell] = cli.args;
  return shell === undefined ? cli.rawArgs.includes("--") : shells.includes(shell);
}

function refuse(message: string): never {
  throw new CommandError("USAGE", message);
}
