/// Why the disks of a command line aren't known.
public enum CommandLineError: Error, Equatable {
    /// A disk option can't be read, or names a disk by something that says nothing outside this process.
    case unreadableDisk(option: String, reason: String)
    /// A file of `-readconfig`, or QEMU's own configuration file, can't be read.
    case unreadableConfiguration(option: String, reason: String)
    /// A word after an unknown option is that option's argument or a disk image, and which one can't be known.
    case unclearWord(option: String, word: String)
    /// Where the emulator's command line begins behind a launcher, or where it will run, can't be known.
    case unclearLauncher(launcher: String, reason: String)

    /// One line: the option as given, what is wrong with it, what to do.
    public var message: String {
        let byHand = "give the disks with --disk and use --no-auto-disks"
        switch self {
        case .unreadableDisk(let option, let reason):
            return "\(option): \(reason); write it another way, or \(byHand)"
        case .unreadableConfiguration(let option, let reason):
            return "\(option): \(reason); make it readable, or \(byHand)"
        case .unclearWord(let option, let word):
            return "\(option) \(word): the option is unknown, so \(word) may be its argument or a disk image; "
                + "give the image with -drive file=… before it, or \(byHand)"
        case .unclearLauncher(let launcher, let reason):
            return "\(launcher): \(reason); start the emulator without it, or \(byHand)"
        }
    }
}

/// What is wrong with a piece of text; whoever knows which option it came from makes a ``CommandLineError`` of it.
struct Refusal: Error, Equatable {
    let reason: String

    init(_ reason: String) {
        self.reason = oneLine(withoutSecrets(reason), limit: 160)
    }
}
