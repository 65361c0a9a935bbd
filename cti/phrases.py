"""Sentences that come to people out of code which knows no languages: packages below this one, Typer, pydantic, libc.

A phrase is such a sentence with its blanks named. `cti.explain` recognises it, translates it and fills in the blanks.
"""

from collections.abc import Mapping

from cti.i18n import mark

# The kinds of error: `code` of the class -> the first line of its docstring.
KINDS: Mapping[str, str] = {
    "error": mark("Something that the user can put right"),
    "settings": mark("A setting is missing or wrong"),
    "init": mark("The folder cannot be made into a Kikitori"),
    "not-found": mark("There is no such recording"),
    "usage": mark("What was asked for makes no sense"),
    "log-unavailable": mark("The access log cannot be written, so nothing is played"),
    "about": mark("The segment does not say what it is"),
    "no-key": mark("No slot has the key of this segment"),
    "nothing-there": mark("There is no sound to give an end to"),
    "stream": mark("A captured stream cannot be replayed"),
    "not-running": mark("The recorder does not answer"),
    "no-timestamp": mark(
        "An event has no time of its own. Set timestampevents=yes in manager.conf, or replay with --untimed"
    ),
    "pbx-config": mark("The PBX's configuration cannot be made"),
    "pbx": mark("Asterisk does not run as it should"),
    "agi": mark("Asterisk said something that is not FastAGI, or too little, or hung up"),
    "ami": mark("Something about the manager connection went wrong"),
    "ami-unsafe": mark(
        "An action would not be one action: it carries a line break, a NUL, or more than Asterisk reads"
    ),
    "ami-not-connected": mark(
        "There is no connection to Asterisk, or it was lost before the answer came. Nothing is sent again by itself"
    ),
    "ami-deadline": mark("Asterisk did not answer an action in time"),
    "ami-login-refused": mark(
        "Asterisk refused the user or the secret. Trying again cannot help until manager.conf or kikitori.toml changes"
    ),
    "ami-unreachable": mark("Asterisk's manager interface cannot be reached, or has gone"),
    "ami-refused": mark("Asterisk answered an action with an error: most often the channel is gone"),
    "ami-tls": mark(
        "The manager interface has no certificate of the CA that we know, or does not speak TLS. No secret was sent"
    ),
    "policy": mark("A policy file cannot be used"),
    "spool": mark("The spool is not a place where sound may lie in the clear"),
    "audio": mark("Sound could not be encoded or decoded"),
    "switch-refused": mark("The PBX said no: nothing was started"),
    "vault": mark("The vault cannot do that"),
    "key-format": mark("This is not a key of the expected kind"),
    "recipient": mark("A file key cannot be wrapped for these recipients"),
    "header": mark("The age header is malformed"),
    "header-mac": mark("The age header was changed: its MAC does not match"),
    "no-identity": mark("None of the given identities opens this header"),
    "armor": mark("The age armor is malformed"),
    "payload": mark("The encrypted payload is damaged, was changed, or is cut off"),
    "tail": mark("The tail files do not hold what the body lacks"),
    "body-busy": mark("Another process is writing this body"),
    "body-state": mark("The body writer cannot do that now"),
    "slot": mark("A slot of the key file cannot be used"),
    "slot-erased": mark("The key of this recording was erased"),
    "body-mismatch": mark("The encrypted file is not the one that the manifest describes"),
    "damaged-audio": mark("The sound cannot be read to its end"),
    "manifest": mark("This manifest cannot be used"),
    "note": mark("A signed note cannot be trusted"),
    "note-malformed": mark("The text has not the form of a signed note"),
    "note-unsigned": mark("None of the known keys has signed the note"),
    "note-signature": mark("A known key's signature does not fit the text: the text or the signature was changed"),
    "note-key": mark("This is not an Ed25519 note key"),
    "keys": mark("The key folder cannot be used"),
    "keys-exist": mark("There are keys already, and they are never overwritten"),
    "wrong-passphrase": mark("The passphrase is wrong"),
    "access": mark("The access log cannot be used"),
    "access-file": mark("This file cannot be used as an access log"),
    "access-damaged": mark("The access log is damaged"),
    "access-write": mark("An entry could not be made durable, nothing was written"),
    "access-busy": mark("Another process held the access log for too long, nothing was written"),
    "access-entry": mark("The access log does not take this entry"),
    "access-checkpoint": mark("A checkpoint cannot be written or read"),
    "access-rewound": mark("The access log does not continue what was checkpointed"),
}

# What the packages below say behind the kind of an error, and of what they find.
OURS = (
    # policies
    mark("not UTF-8"),
    mark("Save the file as UTF-8"),
    mark("cannot be read ({reason})"),
    mark("Check that it exists and is readable"),
    mark("not TOML: {error}"),
    mark("Correct the line named"),
    mark("empty"),
    mark("An empty file decides nothing; restore it or name another"),
    mark("{count} such error(s) in this file; docs/reference/policies.md lists every key"),
    mark("{what} named twice: {names}"),
    mark("number {number} goes to group {group}, which no [[group]] defines"),
    mark("number {number} is designated, but its group {group} is {kind}"),
    # recorder.spool, recorder.memory
    mark(
        "{folder} lies on {kind}, so sound would reach a disk in the clear. "
        "Mount RAM there: mount -t tmpfs -o noswap,size=2g,mode=0755 tmpfs {again}"
    ),
    mark(
        "{folder} may be swapped out to {devices}. Mount it with -o noswap, or end swap with swapoff -a",
    ),
    # recorder.export, recorder.replay, recorder.verify
    mark("exists already"),
    mark("cannot be read: {reason}"),
    mark("is missing"),
    mark("is damaged"),
    mark("the two copies differ"),
    mark("is the manifest of {recording}, segment {segment}"),
    mark("is that of {recording}, segment {segment}"),
    mark("has {size} bytes, its manifest says {expected}"),
    mark("was changed: its SHA-256 is not the one that its manifest names"),
    mark("its SHA-256 is not the one that its manifest names"),
    mark("holds the key of another segment than {segment}"),
    mark("no manifest speaks of it"),
    mark("has no end: the recorder ends it when it starts; after a power failure `kikitori recover` does"),
    mark("is finished, and its tails are left over; `kikitori recover` removes them"),
    mark("has no body"),
    mark("was sealed twice, with different manifests"),
    mark("were not checked: the recorder does not answer"),
    mark("its comment begins with {first}, this version reads {known}"),
    mark("{field} in its comment is of another kind"),
    mark("is being written, and is not as it was written"),
    mark("has no end: a crash cut it off"),
    mark("is no record: it was changed, or a crash cut it off"),
    mark("was changed, or the line before it was changed, removed or put in"),
    mark("{name} is no segment that waits for its end"),
    mark("its comment has other fields than this version writes"),
    mark("{name} says that it is {other}"),
    mark("is no file of a vault"),
    mark("the vault has no manifest of this name"),
    mark("is missing; `kikitori catalogue rebuild` adds it"),
    mark("knows another manifest than the one in the vault"),
    mark("{fields}: not what the manifest says; `kikitori catalogue rebuild` puts it right"),
    mark("was sealed, and its manifest is gone from the vault"),
    mark("the access log does not know it"),
    mark("is not the manifest that the access log names"),
    # recorder.vault
    mark("{path}, slot {slot}: {problem}"),
    mark("{path}: slot {slot}"),
    mark("damaged, missing or unreadable here and in {mirror}"),
    mark("the slot is marked as erased"),
    mark("there is no such slot"),
    mark("chunk {chunk}: {problem}"),
    mark("it does not authenticate"),
    mark("something follows the last chunk"),
    mark("{path}: name another place, or move it away if it was never used"),
    mark("{path}: is no folder; mount the medium that keeps the escrow"),
    mark("a passphrase cannot be empty"),
    mark("the checksum does not match: look for a mistyped character"),
    mark("the known keys are: {names}"),
    # recorder.access
    mark("{path}: cannot be opened as an access log ({error})"),
    mark("{path}: was replaced under a running process; restart it and run verify"),
    mark("{path}: was not made by this program, or its journal is not a WAL"),
    mark("{path}: the entry was not written ({error})"),
    mark("{path}: cannot be written ({reason}); is the medium mounted?"),
    mark("{path}: is no folder; is the medium mounted?"),
    mark("database: cannot be read after entry {entry} ({error})"),
    mark("entry {entry}: {problem}"),
    mark("entry {entry}"),
    mark("entries {first} to {last}"),
    mark("{entries}: missing"),
    mark("{entries}: missing at the end, the head counts {count}"),
    mark("{entries}: not in the head, which counts {count}"),
    mark("a number that the log does not give"),
    mark("its prev is not sixty-four zeros"),
    mark("its leaf hash was changed"),
    mark("its bytes were changed"),
    mark("bytes and leaf differ"),
    mark("was rewritten: what follows was chained to other bytes"),
    mark("the columns to search by were changed"),
    mark("has not the fields of an entry"),
    mark("head: missing or cannot be read"),
    mark("head: its size was changed: it says {size}, there are {count} entries"),
    mark("head: its hash of the last entry was changed"),
    mark("head: its frontier was changed"),
    mark("it has {size} entries, {where} has {other}; run verify, keep both media"),
    mark("its {size} entries are not those of {where}; run verify, keep both media"),
    mark("cut off, as by a power loss; the next checkpoint removes it"),
    mark("signed, but not origin, size and root"),
    mark("{folder}: has no checkpoint of this log"),
    mark(
        "{where}: the root of the first {count} entries differs: "
        "one of entries {first} to {last} was changed, or one before it removed"
    ),
    mark("{where}: the log had {before} entries and has {now}: entries {first} to {last} were cut off"),
    # cti.pbxconfig
    mark("{name} is {value}: {hint}"),
    mark("small letters, digits and hyphens, 32 at most"),
    mark("an absolute path of letters, digits and _.+- without '..'"),
    mark("94 characters at most, the control socket lies in it"),
    mark("107 characters at most, it is a socket"),
    mark("a host name or an IPv4 address"),
    mark("an IPv4 address is needed"),
    mark("1 to 65535"),
    mark("AMI is in the clear, it stays on 127.0.0.0/8"),
    mark("its name is its extension: 2 to 8 digits, the first not 0"),
    mark("rtp_end ({end}) is not above rtp_start ({start})"),
    mark("trunk_match is empty: name the addresses that the trunk calls from"),
    mark("trunk_match has {match}: an IPv4 address or network is needed"),
    mark("secret of {phone}: 12 to 128 of letters, digits and _.~+/=- are needed"),
    mark("codecs are {codecs}: one or more of {known}"),
    mark("trunks are {trunks}: the configuration is made for one trunk"),
    mark("trunk is named {name}, which pjsip.conf uses itself: give it another name"),
    mark("a group is named 'general', which queues.conf uses itself: give it another name"),
    mark("phone {phone} has neither a secret (phone_secrets) nor a contact (phone_contacts)"),
    mark("{folder} is not empty and not made by kikitori: name another folder or empty it"),
    mark("{file} was changed by hand: move the change to the policies, remove the file"),
    # cti.ami, cti.control
    mark("closed without an answer"),
    mark("not connected to Asterisk"),
    mark("the connection to Asterisk is closing"),
    mark("no answer to {action}"),
    mark("{ca}: is no certificate in PEM. Let [pbx] ami_tls_ca name the CA's certificate"),
    mark("{ca}: cannot be read ({reason}). [pbx] ami_tls_ca names the CA's certificate"),
    mark(
        "{address}: its certificate was refused ({reason}). Let [pbx] ami_tls_ca name the CA that signed it, "
        "and [pbx] host a name that it has"
    ),
    mark(
        "{address}: no TLS there ({reason}). Let [pbx] port be that of tlsbindaddr in manager.conf, "
        "or take [pbx] ami_tls_ca out"
    ),
    mark(
        "{address} refused user {user}: {reason}. "
        "Compare [pbx] user and the secret file with manager.conf, then start again"
    ),
)

# What Typer asks gettext for: only so that they come into the catalogue.
TYPER_OWN = (
    mark("Arguments"),
    mark("Options"),
    mark("Commands"),
    mark("Error"),
    mark("Aborted."),
    mark("Aborted!"),
    mark("Missing command."),
    mark("No such command {name!r}."),
    mark("Try [blue]'{command_path} {help_option}'[/] for help."),
    mark("[default: {}]"),
    mark("[env var: {}]"),
    mark("[required]"),
    mark("default: {default}"),
    mark("env var: {var}"),
    mark("required"),
    mark("(dynamic)"),
    mark("(deprecated) "),
)

# What Typer says in English to everyone.
TYPER = (
    mark("Show this message and exit."),
    mark("Install completion for the current shell."),
    mark("Show completion for the current shell, to copy it or customize the installation."),
    mark("Missing argument {name}."),
    mark("Missing option {name}."),
    mark("Missing argument {name}. {more}"),
    mark("Missing option {name}. {more}"),
    mark("Choose from:\n\t{choices}"),
    mark("Invalid value for {name}: {problem}"),
    mark("Invalid value: {problem}"),
    mark("{value} is not one of {choices}."),
    mark("No such option: {name}"),
    mark("{message} (Possible options: {names})"),
    mark("{message}. Did you mean {names}?"),
    mark("Got unexpected extra argument(s) ({names})"),
    mark("Option {name} requires an argument."),
    mark("Option {name} does not take a value."),
)

PYDANTIC = (
    mark("Extra inputs are not permitted"),
    mark("Field required"),
    mark("Value error, {problem}"),
    mark("Input should be a valid integer, unable to parse string as an integer"),
    mark("Input should be a valid integer, got a number with a fractional part"),
    mark("Input should be a valid integer"),
    mark("Input should be a valid number, unable to parse string as a number"),
    mark("Input should be a valid number"),
    mark("Input should be a valid string"),
    mark("Input should be a valid boolean"),
    mark("Input should be a valid boolean, unable to interpret input"),
    mark("Input should be a valid tuple"),
    mark("Input should be a valid date"),
    mark("Input should be a valid date or datetime, {problem}"),
    mark("Input should be a valid dictionary or instance of {model}"),
    mark("Input is not a valid path for {kind}"),
    mark("Input should be greater than {limit}"),
    mark("Input should be greater than or equal to {limit}"),
    mark("Input should be less than {limit}"),
    mark("Input should be less than or equal to {limit}"),
    mark("String should match pattern {pattern}"),
    mark("Tuple should have at least {least} item after validation, not {count}"),
    mark("Input should be {choices}"),
)

LIBC = (
    mark("No such file or directory"),
    mark("Permission denied"),
    mark("Operation not permitted"),
    mark("File exists"),
    mark("Is a directory"),
    mark("Not a directory"),
    mark("Directory not empty"),
    mark("No space left on device"),
    mark("Read-only file system"),
    mark("Input/output error"),
    mark("Connection refused"),
    mark("Address already in use"),
    mark("Too many open files"),
    mark("Broken pipe"),
)

PHRASES = (*OURS, *TYPER, *PYDANTIC, *LIBC)

# Values of a table's cells; programs get them in English (--json).
WORDS = frozenset({
    # direction of a call
    mark("in"),
    mark("out"),
    mark("internal"),
    # state of a segment, and why it ended
    mark("sealed"),
    mark("cut"),
    mark("torn"),
    mark("cut by the rules"),
    mark("recorder stopped"),
    mark("recorder stopped in good order"),
    mark("key lost, recovered"),
    # how a call ended
    mark("completed"),
    mark("busy"),
    mark("no-answer"),
    mark("rejected"),
    mark("cancelled"),
    mark("failed"),
    mark("merged"),
    # how a call came to somebody else
    mark("blind"),
    mark("attended"),
    mark("blonde"),
    mark("forward"),
    mark("pickup"),
    # why sound was not kept
    mark("no designated phone"),
    mark("second recording of the same channel"),
    # what the access log knows
    mark("play.intent"),
    mark("play.result"),
    mark("export.intent"),
    mark("export.result"),
    mark("segment.sealed"),
    mark("recover.intent"),
    mark("recover.result"),
    mark("sound.discarded"),
    mark("recorder.started"),
    mark("recorder.stopped"),
    # what it says of an act
    mark("purpose"),
    mark("quality"),
    mark("content"),
    mark("act"),
    mark("from"),
    mark("to"),
    mark("side"),
    mark("both"),
    mark("left"),
    mark("right"),
    mark("format"),
    mark("recipient"),
    mark("seconds"),
    mark("outcome"),
    mark("done"),
    mark("recovered"),
    mark("empty"),
    mark("slots"),
    mark("finished"),
    mark("interrupted"),
    mark("reason"),
    # where a finding lies
    mark("access log"),
    mark("checkpoints"),
    mark("open segments"),
    mark("catalogue"),
    # where a setting comes from
    mark("default"),
    mark("environment"),
})  # fmt: skip
