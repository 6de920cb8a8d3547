/// The command that the launchers in front of it start in the end.
struct LaunchedCommand {
    private(set) var arguments: ArraySlice<String>
    /// The folder it runs in; nil where a launcher changes to one that can't be known.
    private(set) var folder: String?

    var isEmulator: Bool { LaunchedCommand.isEmulator(arguments.first) }

    static func isEmulator(_ command: String?) -> Bool {
        guard let name = command?.fileName else { return false }
        return name.begins(with: "qemu-system-") || name == "qemu-kvm" || name == "kvm"
    }

    init(_ arguments: [String], folder: String) throws(CommandLineError) {
        self.arguments = arguments[...]
        self.folder = folder
        while let name = self.arguments.first?.fileName, let launcher = Launcher.named(name) {
            let words = self.arguments
            do {
                try skip(launcher, named: name)
            } catch {
                // Where no emulator follows, how the launcher is to be read doesn't matter.
                let mayStartOne = words.contains { word in
                    word.utf8.split(whereSeparator: \.isSpace).contains { LaunchedCommand.isEmulator(String($0)) }
                }
                guard mayStartOne else { return }
                throw .unclearLauncher(launcher: name, reason: error.reason)
            }
        }
    }

    private mutating func skip(_ launcher: Launcher, named name: String) throws(Refusal) {
        arguments = arguments.dropFirst()
        var root: String?
        options: while let word = arguments.first, word.begins(with: "-") {
            if word == "-" {
                guard name == "env" else { break }
                arguments = arguments.dropFirst()
            } else if word == "--" {
                arguments = arguments.dropFirst()
                break options
            } else if word.begins(with: "--") {
                try takeLong(word, of: launcher, &root)
            } else {
                try takeShort(word, of: launcher, named: name, &root)
            }
        }
        while launcher.takesVariables, arguments.first?.utf8.contains(.equals) == true {
            arguments = arguments.dropFirst()
        }
        // chrt can do without a priority where the policy has none.
        if launcher.leadingWords > 0, name != "chrt" || arguments.first?.isDecimal == true {
            arguments = arguments.dropFirst()
        }
        if let root { throw Refusal("with \(root) the disks are in another root") }
    }

    private mutating func takeLong(_ word: String, of launcher: Launcher, _ root: inout String?) throws(Refusal) {
        let text = word.bytes.dropFirst(2)
        let (name, value) = text.cut(at: .equals).map { ($0.before, Optional($0.after.text)) } ?? (text, nil)
        guard let option = launcher.longOption(name.text) else {
            // nice takes its old -N with two dashes too.
            if launcher.shortWithArgument == "n", name.text.isDecimal { arguments = arguments.dropFirst(); return }
            throw Refusal("the option \(word) is not known, so where the command begins isn't either")
        }
        switch option {
        case .alone(let name):
            arguments = arguments.dropFirst()
            try apply(name, nil, of: launcher, &root)
        case .takesArgument(let name):
            arguments = arguments.dropFirst()
            let argument = if let value { value } else { try takeArgument(of: word) }
            try apply(name, argument, of: launcher, &root)
        }
    }

    private mutating func takeShort(
        _ word: String, of launcher: Launcher, named name: String, _ root: inout String?
    ) throws(Refusal) {
        var letters = word.bytes.dropFirst()
        if name == "nice", letters.drop(while: { $0 == .dash || $0 == UInt8(ascii: "+") }).allSatisfy(\.isDigit) {
            arguments = arguments.dropFirst()
            return
        }
        var isFirst = true
        while let letter = letters.first {
            letters = letters.dropFirst()
            if launcher.shortAlone.utf8.contains(letter) {
                if isFirst { arguments = arguments.dropFirst() }
                try apply(String(UnicodeScalar(letter)), nil, of: launcher, &root)
            } else if launcher.shortWithArgument.utf8.contains(letter) {
                if isFirst { arguments = arguments.dropFirst() }
                let value = letters.isEmpty ? try takeArgument(of: word) : letters.text
                try apply(String(UnicodeScalar(letter)), value, of: launcher, &root)
                return
            } else {
                throw Refusal("the option \(word) is not known, so where the command begins isn't either")
            }
            isFirst = false
        }
    }

    private mutating func takeArgument(of option: String) throws(Refusal) -> String {
        guard let value = arguments.first else { throw Refusal("the option \(option) lacks its argument") }
        arguments = arguments.dropFirst()
        return value
    }

    private mutating func apply(
        _ option: String, _ value: String?, of launcher: Launcher, _ root: inout String?
    ) throws(Refusal) {
        if launcher.homeOptions.contains(option) {
            folder = nil
        } else if let value, launcher.folderOptions.contains(option) {
            folder = try absolutePath(value, in: folder)
        } else if launcher.rootOptions.contains(option) {
            root = option.utf8.count == 1 ? "-\(option)" : "--\(option)"
        } else if let value, launcher.splitOptions.contains(option) {
            arguments = (try splitWords(value) + arguments)[...]
        }
    }
}

/// The words of `env -S TEXT`.
/// - Throws: where a variable decides what they are.
func splitWords(_ text: String) throws(Refusal) -> [String] {
    var words: [String] = []
    var word: [UInt8]?
    var quote: UInt8?
    var rest = text.bytes
    while let byte = rest.first {
        rest = rest.dropFirst()
        if byte == .backslash, quote != UInt8(ascii: "'") || rest.first == .backslash || rest.first == UInt8(ascii: "'")
        {
            guard let escaped = rest.first else { throw Refusal("env -S ends in a backslash") }
            rest = rest.dropFirst()
            switch escaped {
            case UInt8(ascii: "c") where quote == nil: rest = []
            case UInt8(ascii: "_") where quote == nil: flush()
            case UInt8(ascii: "_"): word = (word ?? []) + [0x20]
            case UInt8(ascii: "f"): word = (word ?? []) + [0x0c]
            case UInt8(ascii: "n"): word = (word ?? []) + [0x0a]
            case UInt8(ascii: "r"): word = (word ?? []) + [0x0d]
            case UInt8(ascii: "t"): word = (word ?? []) + [0x09]
            case UInt8(ascii: "v"): word = (word ?? []) + [0x0b]
            case UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "\""), UInt8(ascii: "'"), .backslash:
                word = (word ?? []) + [escaped]
            default: throw Refusal("env -S has a bad escape")
            }
        } else if byte == quote {
            quote = nil
        } else if quote == nil, byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
            quote = byte
            word = word ?? []
        } else if byte == UInt8(ascii: "$"), quote != UInt8(ascii: "'") {
            throw Refusal("env -S takes words from a variable")
        } else if quote == nil, byte.isSpace {
            flush()
        } else if quote == nil, word == nil, byte == UInt8(ascii: "#") {
            break
        } else {
            word = (word ?? []) + [byte]
        }
    }
    guard quote == nil else { throw Refusal("env -S has a quote without an end") }
    flush()
    return words

    func flush() {
        if let word { words.append(word[...].text) }
        word = nil
    }
}
