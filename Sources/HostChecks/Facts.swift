import ControlProtocol
import Platform

/// What a job has found out so far, a line of JSON after the other, and whether it came to its end.
struct Facts: Equatable, Sendable {
    /// How the job stands.
    enum End: Equatable, Sendable {
        /// It said everything.
        case complete
        /// It hangs.
        case silent
        /// Its process ended before, or could not be made.
        case died
    }

    /// The facts by name; the last one counts.
    var values = JSON.Object()
    /// How the job ended.
    var end = End.complete

    func string(_ name: String) -> String? {
        if case .string(let value)? = values[name] { value } else { nil }
    }

    func bool(_ name: String) -> Bool? {
        if case .bool(let value)? = values[name] { value } else { nil }
    }

    func integer(_ name: String) -> Int64? {
        if case .integer(let value)? = values[name] { value } else { nil }
    }

    func number(_ name: String) -> Double? {
        switch values[name] {
        case .number(let value)?: value
        case .integer(let value)?: Double(value)
        default: nil
        }
    }

    func strings(_ name: String) -> [String]? {
        guard case .array(let list)? = values[name] else { return nil }
        return list.compactMap { if case .string(let value) = $0 { value } else { nil } }
    }

    /// Takes in what a job said.
    mutating func add(_ line: String) {
        guard case .object(let object)? = try? JSON(parsing: Array(line.utf8)) else { return }
        for member in object.members { values[member.key] = member.value }
    }
}

/// The way for a job to say what it has found.
struct Teller {
    let say: (String) -> Void

    func tell(_ name: String, _ value: JSON) {
        var object = JSON.Object()
        object[name] = value
        say(JSON.object(object).description)
    }

    func tell(_ name: String, _ text: String) { tell(name, .string(text)) }

    func tell(_ name: String, _ texts: [String]) { tell(name, .array(texts.map(JSON.string))) }

    func tell(_ name: String, _ value: Bool) { tell(name, .bool(value)) }
}
