/**
 * What a person can do besides touching the model, offered alike by the page's buttons and keys and by the
 * panel in the headset. Modules register theirs; no panel knows what a lesson is.
 */
export interface CommandBase {
  /** Unused elsewhere: `lesson.play`. */
  id: string;
  /** The panel's page it stands on: `Structures`, `Cut`, `Marks`, `Lesson`. */
  page: string;
  /** Short, as on a button. May change. */
  label: () => string;
  /** Not offered now. */
  hidden?: () => boolean;
  disabled?: () => boolean;
}

export interface ButtonCommand extends CommandBase { kind: 'button'; run: () => void; /** Drawn as pressed. */ on?: () => boolean }

/** A value from 0 to 1 on a bar; `text` is what stands beside it. */
export interface SliderCommand extends CommandBase { kind: 'slider'; value: () => number; set: (value: number, gesture: string) => void; text: () => string }

/** Words alone: a caption, a question, the warning that is always in sight. */
export interface TextCommand extends CommandBase { kind: 'text' }

export type Command = ButtonCommand | SliderCommand | TextCommand;

export class Commands {
  private readonly known = new Map<string, Command>();
  private readonly watchers = new Set<() => void>();

  /** Adds commands; returns what takes them away. A known id is replaced. */
  add(...commands: Command[]): () => void {
    for (const command of commands) this.known.set(command.id, command);
    this.changed();
    return () => {
      for (const command of commands) if (this.known.get(command.id) === command) this.known.delete(command.id);
      this.changed();
    };
  }

  get list(): readonly Command[] { return [...this.known.values()]; }

  /** Calls `watcher` when commands or what they say changed. */
  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  changed(): void { for (const watcher of this.watchers) watcher(); }
}
