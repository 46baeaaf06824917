//! The nine steps: their names, Airflow task ids and report keys, and the wish to run one. `tiki run`,
//! `tiki step` and the ledger all read this list.

use std::time::Duration;

/// A step of a run, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    /// Walks the category tree as far as needed.
    CrawlCategories,
    /// Lists the products of the categories taken.
    ExtractProductUrls,
    /// Fetches the details that can tell something new.
    CrawlProductDetails,
    /// Turns pages into records.
    TransformProducts,
    /// Loads records, looks and history.
    LoadProducts,
    /// Tells what requests the caches saved.
    GetCacheStats,
    /// Tells how machine and servers are.
    MonitorInfrastructure,
    /// Takes old rows and files away.
    CleanupTempFiles,
    /// Checks the run's counts and tells what became of it.
    SendNotification,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::CrawlCategories,
        Self::ExtractProductUrls,
        Self::CrawlProductDetails,
        Self::TransformProducts,
        Self::LoadProducts,
        Self::GetCacheStats,
        Self::MonitorInfrastructure,
        Self::CleanupTempFiles,
        Self::SendNotification,
    ];

    /// The name on the command line and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::CrawlCategories => "crawl-categories",
            Self::ExtractProductUrls => "extract-product-urls",
            Self::CrawlProductDetails => "crawl-product-details",
            Self::TransformProducts => "transform-products",
            Self::LoadProducts => "load-products",
            Self::GetCacheStats => "get-cache-stats",
            Self::MonitorInfrastructure => "monitor-infrastructure",
            Self::CleanupTempFiles => "cleanup-temp-files",
            Self::SendNotification => "send-notification",
        }
    }

    /// The id of the Airflow task.
    pub fn task_id(self) -> &'static str {
        match self {
            Self::CrawlCategories => "crawl_categories",
            Self::ExtractProductUrls => "extract_product_urls",
            Self::CrawlProductDetails => "crawl_product_details",
            Self::TransformProducts => "transform_products",
            Self::LoadProducts => "load_products",
            Self::GetCacheStats => "monitoring.get_cache_stats",
            Self::MonitorInfrastructure => "monitoring.monitor_infrastructure",
            Self::CleanupTempFiles => "cleanup_temp_files",
            Self::SendNotification => "send_notification",
        }
    }

    /// The keys of its report that Airflow shows as XCom.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::CrawlCategories => &["categories", "category_count"],
            Self::ExtractProductUrls => &["product_urls", "product_count"],
            Self::CrawlProductDetails => &["crawled_products", "crawl_stats"],
            Self::TransformProducts => &["transformed_products", "transform_stats"],
            Self::LoadProducts => &["load_stats"],
            Self::GetCacheStats => &["cache_stats"],
            Self::MonitorInfrastructure => &["infrastructure_stats"],
            Self::CleanupTempFiles => &["removed_count"],
            Self::SendNotification => &["notification"],
        }
    }

    /// The step of a name; `None` for a name that is none.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }

    /// Whether it asks the site.
    pub fn asks_the_site(self) -> bool {
        self <= Self::CrawlProductDetails
    }
}

/// The wish to run one step.
#[derive(Clone, Debug)]
pub struct StepRequest {
    /// The run's id.
    pub run: String,
    /// Which step.
    pub step: Step,
    /// The number of the attempt; a higher one ends a lower one. `None`: only if nobody is at it.
    pub attempt: Option<i64>,
    /// Which of several workers.
    pub shard: i64,
    /// One more worker on the same frontier.
    pub join: bool,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Whose run it must be; `None`: anybody's.
    pub owner: Option<String>,
    /// Derive the run anew from this step on if it has ended: `transform-products` and `load-products`
    /// alone, which ask the site nothing.
    pub again: bool,
    /// Whether the run goes on when the site refuses this step: then its end tells of it, not the step.
    pub goes_on: bool,
}

impl StepRequest {
    /// A step of a run, alone, without limits.
    pub fn new(run: &str, step: Step) -> Self {
        Self {
            run: run.into(),
            step,
            attempt: None,
            shard: 0,
            join: false,
            timeout: None,
            owner: None,
            again: false,
            goes_on: false,
        }
    }
}
