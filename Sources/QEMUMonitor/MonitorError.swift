import ControlProtocol

/// Why a conversation with a monitor is over: what came can't be QMP, or can't be believed.
public enum MonitorError: Error, Sendable, Equatable {
    /// A line goes on beyond the limit.
    case lineTooLong(limitBytes: Int)
    /// A line is no JSON.
    case notJSON(JSONError)
    /// A line is JSON, but neither greeting, event nor reply.
    case notQMP
    /// Something came before the greeting.
    case noGreeting
    /// A second greeting.
    case greetedAgain
    /// A reply that doesn't say what it answers.
    case replyWithoutID
    /// A reply to something that wasn't asked, or was answered before. The id as JSON, on one short line.
    case unknownReply(id: String)
    /// A reply whose contents aren't what the command returns.
    case strangeReply(command: String)
}

extension MonitorError: CustomStringConvertible {
    /// One printable line.
    public var description: String {
        switch self {
        case .lineTooLong(let limitBytes): "a line of more than \(limitBytes) bytes"
        case .notJSON(let error): shortLine(error.description, limit: 300)
        case .notQMP: "a line that is no greeting, event or reply"
        case .noGreeting: "something else than a greeting came first"
        case .greetedAgain: "a second greeting"
        case .replyWithoutID: "a reply without an id"
        case .unknownReply(let id): "a reply to a command that is not waiting for one (id \(id))"
        case .strangeReply(let command): "a reply to \(command) that makes no sense"
        }
    }
}

/// A stranger's text on one line, without anything that could move a terminal's cursor or turn its direction, and cut where
/// it is longer than the limit (in characters as Unicode numbers them).
func shortLine(_ text: String, limit: Int) -> String {
    var line = ""
    for (count, scalar) in text.unicodeScalars.enumerated() {
        guard count < limit else { return line + "…" }
        switch scalar.value {
        case 0..<0x20, 0x7f...0x9f, 0x2028...0x2029, 0x200e...0x200f, 0x202a...0x202e, 0x2066...0x2069:
            line += "\\u{\(String(scalar.value, radix: 16))}"
        default:
            line.unicodeScalars.append(scalar)
        }
    }
    return line
}
