/** A model of the hub at one of its revisions. */
export interface HubReference {
  /** `owner/name`. */
  readonly model: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

const prefix = "hub:";
// The hub's own rule for names; as they become folder names here, nothing else may pass.
const name = /^(?!.*(--|\.\.|\.git$))[A-Za-z0-9_]([\w.-]{0,94}[A-Za-z0-9_])?$/;
const revisionName = /^(?!.*(\.\.|\/\/))[\w][\w.+/-]{0,199}$/;

/** Whether a source names a model of the hub: "hub:owner/name" or "hub:owner/name@revision". */
export function isHubSource(source: string): boolean {
  return source.startsWith(prefix);
}

/** @throws TypeError if the source is not written `hub:owner/name` or `hub:owner/name@revision` */
export function parseHubSource(source: string): HubReference {
  const [model = "", revision = "main", ...more] = (isHubSource(source) ? source.slice(prefix.length) : "").split("@");
  const names = model.split("/");
  if (more.length > 0 || names.length !== 2 || !names.every((n) => name.test(n)) || !revisionName.test(revision)) {
    throw new TypeError(`hub: expected "hub:owner/name" or "hub:owner/name@revision", got ${JSON.stringify(source)}`);
  }
  return { model, revision };
}

/** Whether a revision is a whole commit hash, which never comes to mean anything else. */
export function isCommit(revision: unknown): revision is string {
  return typeof revision === "string" && /^[0-9a-f]{40}$/.test(revision);
}
