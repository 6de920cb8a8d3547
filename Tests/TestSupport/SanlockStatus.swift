/// What `sanlock client status` shows.
public struct SanlockStatus: Sendable {
    /// A lease that a process holds.
    public struct Resource: Hashable, Sendable {
        /// The holder's pid; -1 for an orphan.
        public let pid: Int32
        /// The lockspace.
        public let lockspace: String
        /// The resource: for a disk the MD5 of its path.
        public let name: String
        /// The lease file.
        public let path: String
        /// Where the lease is in it.
        public let offsetBytes: UInt64
        /// The version; nil for a shared lease.
        public let version: UInt64?
        /// Whether it is shared.
        public let isShared: Bool
        /// What sanlock adds at the end, such as `ORPHAN` or `ADD`; empty for a plain lease.
        public let remarks: [String]
    }

    /// A lockspace that is joined.
    public struct Lockspace: Hashable, Sendable {
        /// Its name.
        public let name: String
        /// Our host id in it.
        public let hostID: UInt64
        /// Its file.
        public let path: String
        /// What sanlock adds at the end, such as `ADD` or `REM`.
        public let remarks: [String]
    }

    /// The daemon's host name.
    public var hostName = ""
    /// The registered clients' pids and names, sanlock's own parts left out.
    public var clients: [Int32: String] = [:]
    /// The lockspaces.
    public var lockspaces: [Lockspace] = []
    /// All leases held.
    public var resources: [Resource] = []

    /// The leases by their holders' pids.
    public var resourcesByPID: [Int32: [Resource]] { Dictionary(grouping: resources, by: \.pid) }

    /// The leases of one process.
    public func resources(of pid: Int32) -> [Resource] { resources.filter { $0.pid == pid } }

    init(parsing text: String) throws {
        for line in text.split(separator: "\n") {
            let words = Self.words(line)
            guard words.count > 1 else { continue }
            switch words[0] {
            case "daemon": hostName = words[1]
            case "p":
                if let pid = Int32(words[1]), pid > 0 { clients[pid] = words.dropFirst(2).joined(separator: " ") }
            case "s":
                let parts = Self.fields(words[1])
                guard parts.count >= 4, let hostID = UInt64(parts[1]) else { throw Self.unreadable(line) }
                lockspaces.append(
                    Lockspace(name: parts[0], hostID: hostID, path: parts[2], remarks: Array(words.dropFirst(2))))
            case "r":
                let parts = Self.fields(words[1])
                guard parts.count >= 5, let offset = UInt64(parts[3]), let mark = words.firstIndex(of: "p"),
                    words.count > mark + 1, let pid = Int32(words[mark + 1])
                else { throw Self.unreadable(line) }
                let remarks = words[2..<mark] + words[(mark + 2)...]
                let isShared = parts[4] == "SH" || parts.last == "SH"
                resources.append(
                    Resource(
                        pid: pid, lockspace: parts[0], name: parts[1], path: parts[2], offsetBytes: offset,
                        version: isShared ? nil : UInt64(parts[4]), isShared: isShared, remarks: Array(remarks)))
            default: break
            }
        }
    }

    private static func unreadable(_ line: Substring) -> TestFailure {
        TestFailure("can't understand this line of `sanlock client status`: \(line)")
    }

    /// Splits at spaces; sanlock writes a space inside a path as `\ `.
    private static func words(_ line: Substring) -> [String] {
        var words = [""]
        var isEscaped = false
        for character in line {
            if character == " ", !isEscaped { words.append("") } else { words[words.count - 1].append(character) }
            isEscaped = character == "\\" && !isEscaped
        }
        return words.filter { !$0.isEmpty }
    }

    /// Splits at colons; sanlock writes a colon inside a path as `\:`.
    private static func fields(_ text: String) -> [String] {
        var fields = [""]
        var isEscaped = false
        for character in text {
            if isEscaped {
                fields[fields.count - 1].append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == ":" {
                fields.append("")
            } else {
                fields[fields.count - 1].append(character)
            }
        }
        return fields
    }
}
