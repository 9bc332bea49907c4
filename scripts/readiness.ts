// Whether a version can be published: what the tree, the changelog and the packages say of it.

/** What is known of the tree. */
export interface Tree {
  version: string;
  /** The text of CHANGELOG.md. */
  changelog: string;
  /** What `git status --porcelain` prints; null where this is no clone. */
  changes: string | null;
  /** Where the tag of the version leads to, null where there is none; and where the tree is. */
  tag: string | null;
  head: string | null;
  /** The field `repository` of package.json: npm proves by it where a package was built. */
  repository: unknown;
}

/** The text of a section, without its heading; null where there is none. */
function section(changelog: string, heading: RegExp): { heading: string; text: string } | null {
  for (const part of changelog.split(/^(?=## )/m)) {
    const [first = "", ...rest] = part.split("\n");
    if (heading.test(first)) return { heading: first, text: rest.join("\n").trim() };
  }
  return null;
}

/** What keeps the version from being published, each with what to do about it. */
export function obstacles(tree: Tree): string[] {
  const { version, changelog, changes, tag, head, repository } = tree;
  const found: string[] = [];
  if (!/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)) {
    found.push(`package.json: "${version}" is no semantic version`);
  }
  if (changes === null) found.push("this is no clone of the repository: release from one");
  else if (changes.trim() !== "") {
    const count = changes.trim().split("\n").length;
    found.push(`the tree is not clean: commit or remove ${count} changed or unknown files`);
  }
  if (tag !== null && tag !== head) {
    found.push(`the tag v${version} is another commit: raise the version in package.json`);
  }
  const unreleased = section(changelog, /^## Unreleased\b/);
  const entries = unreleased?.text.match(/^- /gm)?.length ?? 0;
  const own = section(changelog, new RegExp(`^## ${RegExp.escape(version)}(?![\\w.-])`));
  if (entries > 0) {
    found.push(
      `CHANGELOG.md: ${entries} entries are under "Unreleased": move them under ` +
        `"## VERSION - YYYY-MM-DD", and set that version in package.json`,
    );
  }
  if (own === null) found.push(`CHANGELOG.md has no section "## ${version} - YYYY-MM-DD": add it`);
  else {
    if (!/^## \S+ - \d{4}-\d{2}-\d{2}$/.test(own.heading)) {
      found.push(`CHANGELOG.md: "${own.heading}" has no date: write "## ${version} - YYYY-MM-DD"`);
    }
    if (own.text === "") found.push(`CHANGELOG.md says nothing of ${version}: say what changed`);
  }
  if (repository === undefined) {
    found.push("package.json has no `repository`: npm's provenance needs its address");
  }
  return found;
}

/** What a package that was made says of itself. */
export interface Made {
  file: string;
  version: string;
  /** Other packages that it names with their versions. */
  names?: Readonly<Record<string, string>>;
}

/** Packages that are not of the version, or that name one that is not there. */
export function disagreements(version: string, made: readonly Made[]): string[] {
  return made.flatMap(({ file, version: own, names = {} }) => [
    ...(own === version ? [] : [`${file} is version ${own}, and package.json ${version}`]),
    ...Object.entries(names)
      .filter(([, wanted]) => wanted !== version)
      .map(([name, wanted]) => `${file} names ${name} ${wanted}, and not ${version}`),
  ]);
}
