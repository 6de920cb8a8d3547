import ControlProtocol

/// Metrics as text: OpenMetrics 1.0, in that part of it that Prometheus' older text format reads too, as node_exporter does.
///
/// So there are gauges and counters only: what OpenMetrics has beyond them (info, stateset) the older format refuses.
public struct OpenMetrics: Sendable {
    /// What a family's values are.
    public enum Kind: String, Sendable {
        /// A value that goes up and down.
        case gauge
        /// A count since some beginning; its samples' name ends in `_total`.
        case counter
    }

    /// A label's name and value.
    public typealias Label = (name: String, value: String)

    private var body = ""
    private var families: [JSON] = []

    /// Nothing yet.
    public init() {}

    /// Adds a family. One without samples is left out; of samples with the same labels the first one counts.
    ///
    /// - Parameters:
    ///   - name: as the older format and OpenMetrics allow it, with the unit at its end, and without `_total`.
    ///   - unit: such as `seconds`; nil: a number.
    ///   - help: one line.
    public mutating func add(
        _ name: String, _ kind: Kind, unit: String? = nil, help: String, _ samples: [(labels: [Label], value: Double)]
    ) {
        guard !samples.isEmpty else { return }
        body += "# HELP \(name) \(OpenMetrics.escaped(help))\n# TYPE \(name) \(kind.rawValue)\n"
        if let unit { body += "# UNIT \(name) \(unit)\n" }
        var seen: Set<[UInt8]> = []
        var values: [JSON] = []
        for sample in samples {
            let labels = sample.labels.map { "\($0.name)=\"\(OpenMetrics.escaped($0.value))\"" }.joined(separator: ",")
            // By bytes: two texts that only look the same are two.
            guard seen.insert(Array(labels.utf8)).inserted else { continue }
            let suffix = kind == .counter ? "_total" : ""
            body += "\(name)\(suffix)\(labels.isEmpty ? "" : "{\(labels)}") \(OpenMetrics.text(of: sample.value))\n"
            values.append(OpenMetrics.json(of: sample))
        }
        var family = JSON.Object()
        family["name"] = .string(name)
        family["type"] = .string(kind.rawValue)
        family["unit"] = unit.map(JSON.string)
        family["help"] = .string(help)
        family["samples"] = .array(values)
        families.append(.object(family))
    }

    /// The same as an array of families: `name`, `type`, `unit`, `help`, and `samples` with `labels` and `value`, which is null where
    /// it is no finite number.
    public var json: JSON { .array(families) }

    private static func json(of sample: (labels: [Label], value: Double)) -> JSON {
        var labels = JSON.Object()
        for label in sample.labels { labels[label.name] = .string(label.value) }
        var object = JSON.Object()
        object["labels"] = .object(labels)
        object["value"] =
            Int64(exactly: sample.value).map(JSON.integer)
            ?? (sample.value.isFinite ? .number(sample.value) : .null)
        return .object(object)
    }

    /// All of it, to its end mark.
    public var text: String { body + "# EOF\n" }

    // Backslash, quotation mark and line feed; everything else stands for itself.
    private static func escaped(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { result, scalar in
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
    }

    private static func text(of value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return value.description
    }
}
