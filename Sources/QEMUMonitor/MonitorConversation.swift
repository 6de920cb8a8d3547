import ControlProtocol

/// The conversation with one QMP server over one connection: bytes in, news out; commands in, bytes out.
///
/// Nothing that comes in is believed further than QMP goes: a reply counts only where its command waits for one, and only
/// in the form that this command returns. How long to wait for what is the caller's to decide.
/// What a QEMU promises with its replies is in docs/decisions/qmp.md.
public struct MonitorConversation: Sendable {
    /// The longest message, in bytes. What QEMU sends for the commands here takes some hundred.
    public static let longestLineBytes = 1 << 20

    /// Whether the monitor has greeted and confirmed the capabilities, and so takes commands.
    public private(set) var isReady = false

    private var lines = MonitorLines(limitBytes: Self.longestLineBytes)
    private var isGreeted = false
    private var lastID = 0
    private var waiting: [Int: MonitorCommand] = [:]
    private var failure: MonitorError?

    /// Begins, with a connection that is new.
    public init() {}

    /// A command's bytes, to be sent as they are. Its reply comes with this id; replies may come in any order.
    public mutating func send(_ command: MonitorCommand) -> (id: Int, bytes: [UInt8]) {
        lastID += 1
        waiting[lastID] = command
        return (lastID, command.line(id: lastID))
    }

    /// Takes in what the monitor sent, cut anywhere, and says what it means, in order.
    ///
    /// - Throws: ``MonitorError`` where it is no QMP or is no answer to what was asked. The conversation is over then, and this
    ///   throws the same from now on: close the connection. What the same bytes said before the offence isn't told.
    public mutating func receive(_ bytes: some Collection<UInt8>) throws(MonitorError) -> [MonitorNews] {
        if let failure { throw failure }
        do throws(MonitorError) {
            var news: [MonitorNews] = []
            for byte in bytes {
                if let message = try lines.append(byte) { news.append(try read(message)) }
            }
            return news
        } catch {
            failure = error
            isReady = false
            waiting = [:]
            throw error
        }
    }

    /// QEMU sends numbers beyond 64 bits in some events (unsigned ones); of an image that is open it tells some sixty values.
    private static let limits = JSON.Limits(depth: 32, values: 1 << 17, readsNonFinite: true)

    private mutating func read(_ message: [UInt8]) throws(MonitorError) -> MonitorNews {
        let json: JSON
        do { json = try JSON(parsing: message, limits: Self.limits) } catch { throw .notJSON(error) }
        guard let object = json.objectValue else { throw .notQMP }
        let kinds = ["QMP", "event", "return", "error"].filter { object[$0] != nil }
        guard kinds.count == 1, let kind = kinds.first, let content = object[kind] else { throw .notQMP }
        guard isGreeted || kind == "QMP" else { throw .noGreeting }
        switch kind {
        case "QMP":
            guard !isGreeted else { throw .greetedAgain }
            guard content.objectValue != nil else { throw .notQMP }
            isGreeted = true
            return .greeted(version: Self.version(content["version"]?["qemu"]))
        case "event":
            guard let name = content.stringValue, isName(name) else { throw .notQMP }
            return .event(MonitorEvent(name: name))
        default:
            return try readReply(object, isError: kind == "error", content)
        }
    }

    private mutating func readReply(
        _ object: JSON.Object, isError: Bool, _ content: JSON
    ) throws(MonitorError) -> MonitorNews {
        guard let given = object["id"] else { throw .replyWithoutID }
        guard let number = given.integerValue, let id = Int(exactly: number),
            let command = waiting.removeValue(forKey: id)
        else { throw .unknownReply(id: shortLine(given.description, limit: 40)) }
        if isError {
            guard let name = content["class"]?.stringValue, isName(name), let text = content["desc"]?.stringValue else {
                throw .strangeReply(command: command.name)
            }
            return .reply(id: id, .refused(class: name, text: shortLine(text, limit: 300)))
        }
        switch command {
        case .capabilities:
            guard content.objectValue != nil, !isReady else { throw .strangeReply(command: command.name) }
            isReady = true
            return .ready
        case .queryStatus:
            guard let isRunning = content["running"]?.boolValue, let word = content["status"]?.stringValue,
                isName(word), isRunning == (word == "running")
            else { throw .strangeReply(command: command.name) }
            return .reply(id: id, .status(MonitorStatus(isRunning: isRunning, word: word)))
        case .queryBlockNodes:
            guard let nodes = content.arrayValue?.map(MonitorNode.init), !nodes.contains(nil) else {
                throw .strangeReply(command: command.name)
            }
            return .reply(id: id, .nodes(nodes.compactMap { $0 }))
        case .queryJobs:
            guard let jobs = content.arrayValue?.map(MonitorJob.init), !jobs.contains(nil) else {
                throw .strangeReply(command: command.name)
            }
            return .reply(id: id, .jobs(jobs.compactMap { $0 }))
        case .queryMigration:
            guard content.objectValue != nil else { throw .strangeReply(command: command.name) }
            let text = content["error-desc"]?.stringValue.map { shortLine($0, limit: 300) }
            let word = content["status"]?.stringValue ?? "none"
            guard isName(word) else { throw .strangeReply(command: command.name) }
            return .reply(id: id, .migration(MonitorMigration(word: word, problem: text)))
        case .stop, .cont, .quit, .systemPowerdown, .getDescriptor, .closeDescriptor, .activateLate, .migrate,
            .cancelMigration:
            guard content.objectValue != nil else { throw .strangeReply(command: command.name) }
            return .reply(id: id, .done(content))
        }
    }

    private static func version(_ json: JSON?) -> String? {
        guard let major = json?["major"]?.integerValue, let minor = json?["minor"]?.integerValue,
            let micro = json?["micro"]?.integerValue
        else { return nil }
        return "\(major).\(minor).\(micro)"
    }
}

/// Whether this is the kind of word that QEMU names things with.
private func isName(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
        && text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
}
