extension LeaseRequest {
    /// Reads sanlock's own spelling, `LOCKSPACE:RESOURCE:PATH:OFFSET[:SH]`, where a backslash takes the next character
    /// as it is. A lease version (`:7` at the end) is refused: which version to take is not the caller's to say here.
    ///
    /// Source: `sanlock_str_to_res` in `sanlock_resource.h`.
    ///
    /// - Throws: what is wrong with it, without the spelling itself.
    public init(spelling: String) throws(LeaseSpellingError) {
        let fields = try LeaseRequest.fields(spelling)
        guard fields.count == 4 || fields.count == 5 else {
            throw LeaseSpellingError("it has \(fields.count) fields")
        }
        for (field, what) in [(fields[0], "lockspace"), (fields[1], "resource")] {
            guard (1...48).contains(field.utf8.count) else {
                throw LeaseSpellingError("the \(what)'s name is not 1 to 48 bytes")
            }
        }
        guard fields[2].utf8.first == UInt8(ascii: "/"), fields[2].utf8.count < 1024 else {
            throw LeaseSpellingError("the path is not an absolute one of less than 1024 bytes")
        }
        guard let offset = UInt64(fields[3]), fields[3].first != "+" else {
            throw LeaseSpellingError("'\(fields[3])' is no offset in bytes")
        }
        var mode = LeaseMode.exclusive
        if fields.count == 5 {
            guard fields[4] == "SH" else {
                throw LeaseSpellingError("'\(fields[4])' stands where only SH, for a shared lease, may stand")
            }
            mode = .shared
        }
        let resource = LeaseResource(lockspace: fields[0], name: fields[1], path: fields[2], offsetBytes: offset)
        self.init(disk: nil, resource: resource, mode: mode)
    }

    /// The lease in sanlock's spelling.
    public var spelling: String {
        let path = resource.path.reduce(into: "") { text, character in
            if character == ":" || character == " " || character == "\\" { text.append("\\") }
            text.append(character)
        }
        let suffix = mode == .shared ? ":SH" : ""
        return "\(resource.lockspace):\(resource.name):\(path):\(resource.offsetBytes)\(suffix)"
    }

    private static func fields(_ spelling: String) throws(LeaseSpellingError) -> [String] {
        var fields = [""]
        var isEscaped = false
        for character in spelling.unicodeScalars {
            guard character != "\0", character != "\u{fffd}" else {
                throw LeaseSpellingError("it has bytes in it that are no text")
            }
            if isEscaped {
                fields[fields.count - 1].unicodeScalars.append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == ":" {
                fields.append("")
            } else {
                fields[fields.count - 1].unicodeScalars.append(character)
            }
        }
        guard !isEscaped else { throw LeaseSpellingError("it ends in a backslash") }
        return fields
    }
}

/// What is wrong with a lease's spelling.
public struct LeaseSpellingError: Error, Equatable, Sendable {
    /// One clause.
    public let problem: String

    init(_ problem: String) {
        self.problem = problem
    }
}
